//! Any text, any TOML, and any right manifest.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use vdeploy_runtime::function::{Entry, Hardware};

use crate::manifest::{parse, render};

/// Reads `text` and shows what is wrong with it, in every way; each place must be in the text.
fn read(text: &str) {
    let Err(errors) = parse(text, "prod") else { return };
    assert!(!errors.problems.is_empty());
    for problem in &errors.problems {
        assert!(text.get(problem.span.clone()).is_some(), "{problem:?}");
    }
    let shown = render::text(&errors, "vdeploy.toml", text, false, false);
    assert_eq!(shown.matches("--> vdeploy.toml:").count(), errors.problems.len(), "{shown}");
    render::text(&errors, "vdeploy.toml", text, true, true);
    assert_eq!(render::json(&errors, text).as_array().unwrap().len(), errors.problems.len());
}

fn key() -> impl Strategy<Value = &'static str> {
    select(vec![
        "app",
        "name",
        "image",
        "volume",
        "secret",
        "bucket",
        "function",
        "target",
        "aws",
        "env",
        "prod",
        "handler",
        "command",
        "binary",
        "source",
        "args",
        "cpu",
        "memory",
        "gpu",
        "hardware",
        "timeout",
        "retries",
        "max",
        "backoff",
        "initial_delay",
        "max_delay",
        "volumes",
        "secrets",
        "schedule",
        "kind",
        "base",
        "cuda",
        "apt",
        "keys",
        "url",
        "min_containers",
        "f",
        "\"/v\"",
        "\"\"",
        "'ä b'",
    ])
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "1",
            "-1",
            "0.5",
            "nan",
            "0xff",
            "99999999999999999999",
            "true",
            "2026-11-20",
            "\"\"",
            "\"10m\"",
            "\"8GiB\"",
            "\"auto\"",
            "\"required\"",
            "\"A100\"",
            "\"echo\"",
            "\"f\"",
            "\"s3://bucket\"",
            "\"* * * * *\"",
            "\"../x\"",
            "\"\\u0000\"",
            "\"\"\"\nä\n\"\"\"",
        ])
        .prop_map(String::from),
        "[a-zà-ü]{0,6}".prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map(key(), inner, 0..4).prop_map(|table| {
                let pairs: Vec<_> = table.iter().map(|(k, v)| format!("{k} = {v}")).collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let header =
        prop::collection::vec(key(), 1..5).prop_map(|path| format!("[{}]", path.join(".")));
    let pair = (key(), value()).prop_map(|(key, value)| format!("{key} = {value}"));
    let line = prop_oneof![1 => header, 2 => pair];
    (prop::collection::vec(line, 0..16), select(vec!["\n", "\r\n"]))
        .prop_map(|(lines, newline)| lines.join(newline))
}

/// A right function, and what it must turn out to be.
#[derive(Clone, Debug)]
struct Right {
    entry: Entry,
    cpu: u32,
    memory_mib: u32,
    timeout_seconds: u32,
    retries: u32,
    backoff: f64,
    hardware: Hardware,
    gpu: Vec<&'static str>,
    env: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
    max_containers: Option<u32>,
    spot: bool,
}

fn right_function() -> impl Strategy<Value = Right> {
    let entry = prop_oneof![
        select(vec!["echo", "transcode", "probe"])
            .prop_map(|handler| Entry::Builtin { handler: handler.into() }),
        prop::collection::vec("[a-z./ \\\\\"ä]{1,8}[a-z]", 1..4)
            .prop_map(|argv| Entry::Command { argv }),
    ];
    let gpu = prop::sample::subsequence(vec!["T4", "L4", "L40S"], 0..=3);
    let env = prop::collection::btree_map("[A-U][A-Z0-9_]{0,5}", "\\PC{0,8}", 0..3);
    let volumes = prop::collection::btree_map("/m/[a-z]{1,5}", Just("footage".to_owned()), 0..=1);
    let hardware = select(vec![Hardware::Auto, Hardware::Required, Hardware::Off]);
    let numbers = (1u32..64, 1u32..1 << 20, 1u32..1 << 20, 0u32..=100, 1.0f64..=10.0);
    let scaling = (prop::option::of(1u32..1000), any::<bool>());
    (entry, numbers, hardware, gpu, env, volumes, scaling).prop_map(
        |(
            entry,
            (cpu, memory_mib, timeout_seconds, retries, backoff),
            hardware,
            gpu,
            env,
            volumes,
            (max_containers, spot),
        )| {
            Right {
                entry,
                cpu,
                memory_mib,
                timeout_seconds,
                retries,
                backoff,
                hardware,
                gpu,
                env,
                volumes,
                max_containers,
                spot,
            }
        },
    )
}

/// The function as TOML, written by the library that people's editors agree with.
fn to_toml(right: &Right) -> toml::Table {
    let mut table = toml::Table::new();
    match &right.entry {
        Entry::Builtin { handler } => table.insert("handler".into(), handler.as_str().into()),
        Entry::Command { argv } => table.insert("command".into(), argv.clone().into()),
        Entry::Binary { .. } => unreachable!("not generated"),
    };
    let hardware = serde_json::to_value(right.hardware).unwrap();
    let retries = toml::Table::from_iter([
        ("max".to_owned(), right.retries.into()),
        ("backoff".to_owned(), right.backoff.into()),
    ]);
    table.extend([
        ("cpu".to_owned(), right.cpu.into()),
        ("memory".to_owned(), format!("{}MiB", right.memory_mib).into()),
        ("timeout".to_owned(), format!("{}s", right.timeout_seconds).into()),
        ("retries".to_owned(), retries.into()),
        ("hardware".to_owned(), hardware.as_str().unwrap().into()),
        ("gpu".to_owned(), right.gpu.clone().into()),
        ("env".to_owned(), toml::Table::from_iter(strings(&right.env)).into()),
        ("volumes".to_owned(), toml::Table::from_iter(strings(&right.volumes)).into()),
        ("spot".to_owned(), right.spot.into()),
    ]);
    if let Some(max) = right.max_containers {
        table.insert("max_containers".into(), max.into());
    }
    table
}

fn strings(map: &BTreeMap<String, String>) -> impl Iterator<Item = (String, toml::Value)> {
    map.iter().map(|(key, value)| (key.clone(), value.as_str().into()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}|[\\[\\]a-z={}\"\\n#., 0-9]{0,200}") {
        read(&text);
    }

    #[test]
    fn no_toml_panics(text in document()) {
        read(&text);
        read(&format!("[app]\nname = \"reel\"\n{text}"));
    }

    #[test]
    fn right_manifests_mean_what_they_say(
        functions in prop::collection::btree_map("[a-z0-9][a-z0-9_-]{0,12}", right_function(), 0..4),
    ) {
        let tables = functions.iter().map(|(name, f)| (name.clone(), to_toml(f).into()));
        let mut document = toml::toml! { [app] name = "reel" [volume.footage] };
        document.insert("function".into(), toml::Table::from_iter(tables).into());
        let app = parse(&document.to_string(), "main").unwrap();
        prop_assert_eq!(app.functions.len(), functions.len());
        for (name, right) in functions {
            let function = &app.functions[&name];
            let spec = &function.spec;
            prop_assert_eq!(&spec.entry, &right.entry);
            prop_assert_eq!(spec.resources.cpu, f64::from(right.cpu));
            prop_assert_eq!(spec.resources.memory_bytes, Some(u64::from(right.memory_mib) << 20));
            prop_assert_eq!(spec.timeout_seconds, f64::from(right.timeout_seconds));
            prop_assert_eq!((spec.retries.max, spec.retries.backoff), (right.retries, right.backoff));
            prop_assert_eq!(spec.hardware, right.hardware);
            prop_assert_eq!(&spec.resources.gpu, &right.gpu);
            prop_assert_eq!(&spec.env, &right.env);
            prop_assert_eq!(&spec.volumes, &right.volumes);
            prop_assert_eq!(spec.scaling.max_containers, right.max_containers);
            prop_assert_eq!(function.spot, right.spot);
        }
    }
}
