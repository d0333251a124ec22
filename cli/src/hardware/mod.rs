//! GPU models: what each can do for video, and the names people use for it.
//!
//! Engine counts of A100, H100, H200, B200, L4, L40S and RTX 6000 Ada are those of NVIDIA's Dynamo
//! documentation (B300 is taken to be like B200); those of L40 and the rest are NVIDIA's data sheets
//! and video codec support matrix, as public copies have them. The counts are here because models
//! for computing, from A100 on, have no encoder at all; what works is proven by the worker.

mod instance;

pub use instance::{INSTANCES, Instance, LAMBDA_GIB_SECOND, PRICES_AS_OF, Prices, instances_of};

use crate::error::did_you_mean;

/// A GPU model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// The name that manifests and plans use.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// NVENC engines.
    pub encoders: u8,
    /// NVDEC engines.
    pub decoders: u8,
    /// Its encoders know AV1.
    pub av1_encode: bool,
    /// Its decoders know AV1.
    pub av1_decode: bool,
    /// GiB of memory.
    pub memory_gib: u16,
}

const fn gpu(
    name: &'static str,
    aliases: &'static [&'static str],
    (encoders, decoders): (u8, u8),
    (av1_encode, av1_decode): (bool, bool),
    memory_gib: u16,
) -> Gpu {
    Gpu { name, aliases, encoders, decoders, av1_encode, av1_decode, memory_gib }
}

const MODELS: &[Gpu] = &[
    gpu("T4", &[], (1, 2), (false, false), 16),
    gpu("L4", &[], (2, 4), (true, true), 24),
    gpu("A10G", &["A10"], (1, 2), (false, true), 24),
    gpu("L40", &[], (3, 3), (true, true), 48),
    gpu("L40S", &[], (3, 3), (true, true), 48),
    gpu("RTX-6000-Ada", &["RTX6000Ada"], (3, 3), (true, true), 48),
    gpu("RTX-PRO-6000", &["RTX-PRO-6000-Blackwell"], (4, 4), (true, true), 96),
    gpu("RTX-4090", &["RTX4090"], (2, 1), (true, true), 24),
    gpu("V100", &[], (3, 1), (false, false), 16),
    gpu("A100", &["A100-40GB"], (0, 5), (false, false), 40),
    gpu("A100-80GB", &[], (0, 5), (false, false), 80),
    gpu("H100", &["H100!"], (0, 7), (false, false), 80),
    gpu("H200", &[], (0, 7), (false, false), 141),
    gpu("B200", &["GB200", "B200+"], (0, 7), (false, true), 180),
    gpu("B300", &["GB300"], (0, 7), (false, true), 288),
];

/// The model that `name` names, whatever its case.
pub fn find(name: &str) -> Option<&'static Gpu> {
    let is = |candidate: &str| candidate.eq_ignore_ascii_case(name);
    MODELS.iter().find(|model| is(model.name) || model.aliases.iter().any(|alias| is(alias)))
}

/// The names of all models.
pub fn names() -> Vec<&'static str> {
    MODELS.iter().map(|model| model.name).collect()
}

/// The model that `typed` was probably meant to name.
pub fn suggest(typed: &str) -> Option<&'static str> {
    did_you_mean(&typed.to_ascii_uppercase(), MODELS.iter().map(|model| model.name))
}

/// The same models by the names that plans use; what is unknown stays as it is.
pub fn canonical(names: Vec<String>) -> Vec<String> {
    let name = |name: String| find(&name).map(|model| model.name.to_owned()).unwrap_or(name);
    names.into_iter().map(name).collect()
}
