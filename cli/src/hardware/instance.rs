//! Machines of AWS: what they have and what an hour costs.
//!
//! Prices are on-demand, Linux, us-east-1, in US dollars, as two or more public tables of
//! [`PRICES_AS_OF`] agree; they were not read from AWS and change by more than 40 % at times, which
//! is why `[target.aws.prices]` goes before them.

use std::collections::BTreeMap;

/// When the prices below were collected.
pub const PRICES_AS_OF: &str = "2026-06";

/// What Lambda charges for a second of a GiB of memory, x86.
pub const LAMBDA_GIB_SECOND: f64 = 0.000_016_666_7;

/// A type of machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instance {
    /// Its name, such as `g6.xlarge`.
    pub name: &'static str,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// GiB of memory.
    pub memory_gib: u32,
    /// How many GPUs it has.
    pub gpus: u32,
    /// Their model, by its name in [`super::find`].
    pub gpu: Option<&'static str>,
    /// US dollars an hour.
    pub price: f64,
}

const fn with(
    gpu: &'static str,
    gpus: u32,
    name: &'static str,
    vcpus: u32,
    memory_gib: u32,
    price: f64,
) -> Instance {
    Instance { name, vcpus, memory_gib, gpus, gpu: Some(gpu), price }
}

const fn plain(name: &'static str, vcpus: u32, memory_gib: u32, price: f64) -> Instance {
    Instance { name, vcpus, memory_gib, gpus: 0, gpu: None, price }
}

/// All machines that are known.
pub const INSTANCES: &[Instance] = &[
    plain("c6i.large", 2, 4, 0.085),
    plain("c6i.xlarge", 4, 8, 0.17),
    plain("c6i.2xlarge", 8, 16, 0.34),
    plain("c6i.4xlarge", 16, 32, 0.68),
    plain("c6i.8xlarge", 32, 64, 1.36),
    plain("c6i.16xlarge", 64, 128, 2.72),
    plain("c6i.32xlarge", 128, 256, 5.44),
    plain("m6i.large", 2, 8, 0.096),
    plain("m6i.xlarge", 4, 16, 0.192),
    plain("m6i.2xlarge", 8, 32, 0.384),
    plain("m6i.4xlarge", 16, 64, 0.768),
    plain("m6i.8xlarge", 32, 128, 1.536),
    plain("m6i.16xlarge", 64, 256, 3.072),
    plain("m6i.32xlarge", 128, 512, 6.144),
    plain("r6i.large", 2, 16, 0.126),
    plain("r6i.xlarge", 4, 32, 0.252),
    plain("r6i.2xlarge", 8, 64, 0.504),
    plain("r6i.4xlarge", 16, 128, 1.008),
    plain("r6i.8xlarge", 32, 256, 2.016),
    plain("r6i.16xlarge", 64, 512, 4.032),
    plain("r6i.32xlarge", 128, 1024, 8.064),
    with("T4", 1, "g4dn.xlarge", 4, 16, 0.526),
    with("T4", 1, "g4dn.2xlarge", 8, 32, 0.752),
    with("T4", 1, "g4dn.4xlarge", 16, 64, 1.204),
    with("T4", 1, "g4dn.8xlarge", 32, 128, 2.176),
    with("T4", 4, "g4dn.12xlarge", 48, 192, 3.912),
    with("A10G", 1, "g5.xlarge", 4, 16, 1.006),
    with("A10G", 1, "g5.2xlarge", 8, 32, 1.212),
    with("A10G", 1, "g5.4xlarge", 16, 64, 1.624),
    with("A10G", 1, "g5.8xlarge", 32, 128, 2.448),
    with("A10G", 4, "g5.12xlarge", 48, 192, 5.672),
    with("A10G", 8, "g5.48xlarge", 192, 768, 16.288),
    with("L4", 1, "g6.xlarge", 4, 16, 0.8048),
    with("L4", 1, "g6.2xlarge", 8, 32, 0.9776),
    with("L4", 1, "g6.4xlarge", 16, 64, 1.3232),
    with("L4", 1, "g6.8xlarge", 32, 128, 2.0144),
    with("L4", 4, "g6.12xlarge", 48, 192, 4.6016),
    with("L4", 8, "g6.48xlarge", 192, 768, 13.3504),
    with("L40S", 1, "g6e.xlarge", 4, 32, 1.861),
    with("L40S", 1, "g6e.2xlarge", 8, 64, 2.242),
    with("L40S", 1, "g6e.4xlarge", 16, 128, 3.004),
    with("L40S", 4, "g6e.12xlarge", 48, 384, 10.493),
    with("L40S", 8, "g6e.48xlarge", 192, 1536, 30.131),
    with("RTX-PRO-6000", 1, "g7e.2xlarge", 8, 64, 3.363),
    with("RTX-PRO-6000", 8, "g7e.48xlarge", 192, 2048, 33.144),
    with("V100", 1, "p3.2xlarge", 8, 61, 3.06),
    with("A100", 8, "p4d.24xlarge", 96, 1152, 21.958),
    with("A100-80GB", 8, "p4de.24xlarge", 96, 1152, 27.447),
    with("H100", 8, "p5.48xlarge", 192, 2048, 55.04),
    with("H200", 8, "p5en.48xlarge", 192, 2048, 63.296),
];

/// The machines with GPUs of this model; without one, those without GPUs.
pub fn instances_of(gpu: Option<&str>) -> impl Iterator<Item = &'static Instance> {
    INSTANCES.iter().filter(move |instance| instance.gpu == gpu)
}

impl Instance {
    /// MiB of memory that jobs get: the system and the agent of ECS keep some of it.
    pub fn usable_mib(&self) -> u64 {
        u64::from(self.memory_gib) * 1024 * 94 / 100
    }

    /// Its family, such as `g6`.
    pub fn family(&self) -> &'static str {
        self.name.split('.').next().unwrap_or(self.name)
    }
}

/// What machines cost: the table above, and what the user knows better.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    own: BTreeMap<String, f64>,
}

impl Prices {
    /// Prices by instance type that go before the table's.
    pub fn with(own: BTreeMap<String, f64>) -> Self {
        Prices { own }
    }

    /// US dollars an hour of `instance`.
    pub fn of(&self, instance: &Instance) -> f64 {
        self.own.get(instance.name).copied().unwrap_or(instance.price)
    }

    /// The cheapest machine for one job, and what an hour of the job costs: a GPU with its part of
    /// the machine, or without one the larger of the parts of its CPUs and its memory.
    pub fn cheapest(
        &self,
        gpu: Option<&str>,
        vcpus: u32,
        memory_mib: u64,
    ) -> Option<(&'static Instance, f64)> {
        instances_of(gpu)
            .filter(|instance| instance.vcpus >= vcpus && instance.usable_mib() >= memory_mib)
            .map(|instance| (instance, self.share(instance, vcpus, memory_mib)))
            // One GPU before several, with which some drivers find no encoder. Sizes of a family cost
            // the same for their part; the smallest wastes least.
            .min_by_key(|(instance, share)| {
                (instance.gpus > 1, (share * 1e4).round() as u64, instance.vcpus)
            })
    }

    fn share(&self, instance: &Instance, vcpus: u32, memory_mib: u64) -> f64 {
        let price = self.of(instance);
        let cpu = f64::from(vcpus) / f64::from(instance.vcpus);
        let memory = memory_mib as f64 / instance.usable_mib() as f64;
        let gpu = match instance.gpus {
            0 => 0.0,
            gpus => 1.0 / f64::from(gpus),
        };
        price * cpu.max(memory).max(gpu).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_table_is_one_that_manifests_may_name() {
        for instance in INSTANCES.iter().filter(|instance| instance.gpu.is_some()) {
            let model = instance.gpu.and_then(super::super::find);
            assert!(model.is_some() && instance.gpus > 0, "{}", instance.name);
        }
    }

    #[test]
    fn the_cheapest_machine_that_fits_is_found_and_own_prices_count() {
        let table = Prices::default();
        let (instance, price) = table.cheapest(Some("L4"), 4, 8 << 10).unwrap();
        assert_eq!((instance.name, price), ("g6.xlarge", 0.8048));
        let (instance, _) = table.cheapest(Some("L4"), 4, 40 << 10).unwrap();
        assert_eq!(instance.name, "g6.4xlarge");
        let (instance, price) = table.cheapest(Some("H100"), 4, 8 << 10).unwrap();
        assert_eq!((instance.name, price), ("p5.48xlarge", 55.04 / 8.0));
        assert_eq!(table.cheapest(Some("L4"), 4, 2 << 20), None);
        assert_eq!(table.cheapest(Some("B200"), 1, 1), None);
        let own = Prices::with([("g6.2xlarge".to_owned(), 0.1)].into());
        assert_eq!(own.cheapest(Some("L4"), 4, 8 << 10).unwrap().0.name, "g6.2xlarge");
    }

    #[test]
    fn a_job_without_a_gpu_pays_for_its_part_of_a_machine() {
        let (instance, price) = Prices::default().cheapest(None, 2, 3 << 10).unwrap();
        assert_eq!((instance.name, price), ("c6i.large", 0.085));
        let (instance, price) = Prices::default().cheapest(None, 1, 7 << 10).unwrap();
        assert_eq!(instance.family(), "r6i");
        assert!((0.05..0.07).contains(&price), "{price}");
    }
}
