//! What right manifests mean.

use super::right;
use crate::manifest::parse;

#[test]
fn what_one_environment_says_takes_the_place_of_the_same_keys() {
    let text = "[app]\nname = \"reel\"\n[function.f]\nhandler = \"echo\"\nenv = { A = \"1\", B = \"2\" }\n\
                cpu = 2\n[env.prod.function.f]\nenv = { B = \"3\" }\ncpu = 8\n[env.prod.volume.footage]\n";
    let main = right(text);
    let prod = parse(text, "prod").unwrap();
    assert_eq!((main.functions["f"].spec.resources.cpu, &main.volumes[..]), (2.0, &[][..]));
    let function = &prod.functions["f"].spec;
    assert_eq!((function.resources.cpu, &prod.volumes[..]), (8.0, &["footage".to_owned()][..]));
    assert_eq!((function.env["A"].as_str(), function.env["B"].as_str()), ("1", "3"));
    assert_eq!(parse(text, "other").unwrap(), main);
}

#[test]
fn what_is_left_out_has_its_default() {
    let app = right("[app]\nname = \"reel\"\n[function.f]\nhandler = \"echo\"\n");
    let spec = &app.functions["f"].spec;
    assert_eq!((spec.resources.cpu, spec.timeout_seconds, spec.retries.max), (1.0, 300.0, 0));
    assert_eq!(spec.scaling.scaledown_window_seconds, 60.0);
    assert!(spec.resources.gpu.is_empty() && spec.image.is_none() && !spec.cache);
}

#[test]
fn durations_sizes_and_schedules_that_are_right() {
    let app = right(
        "[app]\nname = \"reel\"\n[function.f]\nhandler = \"mine\"\nbinary = \"bin/mine\"\n\
         timeout = \"1h30m\"\nmemory = \"1.5 GB\"\nephemeral_disk = \"512MiB\"\n\
         scaledown_window = \"250ms\"\nretries = 3\ngpu = \"a10\"\n\
         schedule = \"*/15 0-6,12 1 * 1-5/2\"\nhardware = \"required\"\n",
    );
    let spec = &app.functions["f"].spec;
    assert_eq!((spec.timeout_seconds, spec.scaling.scaledown_window_seconds), (5400.0, 0.25));
    assert_eq!(spec.resources.memory_bytes, Some(1_500_000_000));
    assert_eq!(spec.resources.ephemeral_disk_bytes, Some(512 << 20));
    assert_eq!((spec.retries.max, &spec.resources.gpu[..]), (3, &["A10G".to_owned()][..]));
}
