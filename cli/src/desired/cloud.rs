//! An app → what it wants to exist in an account of AWS. Pure.

use std::collections::{BTreeMap, BTreeSet};

use vdeploy_runtime::aws::layout::Names;

use super::schedule::expression;
use super::{Inputs, ResourceSet, secret_of};
use crate::engine::{Choice, Engine, choose};
use crate::fingerprint::Fingerprint;
use crate::hardware::{Prices, instances_of};
use crate::manifest::{App, Function, Target};
use crate::resource::{
    ACCOUNT, CloudFunction, ComputeEnvironment, LaunchTemplate, LogGroup, NamedImage, Queue,
    Repository, Resource, Schedule, Store, Volume,
};

/// GiB of disk for the system and images, beside what calls write.
const DISK_FOR_IMAGES_GIB: u64 = 30;
/// Compute environments that a queue may have.
const PER_QUEUE: usize = 3;

/// Where an app goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The bucket was there before, and is left alone.
    pub own_bucket: bool,
    /// The environment.
    pub environment: String,
}

/// Why a function can't run on AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudProblem {
    /// The function.
    pub function: String,
    /// The line of its section.
    pub line: usize,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub hint: String,
}

/// The resources that `app` wants in the cloud, or everything that stands in their way.
pub fn desired_in_cloud(
    app: &App,
    mut inputs: Inputs,
    place: &Place,
) -> Result<ResourceSet, Vec<CloudProblem>> {
    let unsaid = Target::unsaid();
    let target = app.targets.get("aws").unwrap_or(&unsaid);
    let names = Names::of(&place.environment, &app.name);
    let images = std::mem::take(&mut inputs.images);
    let (set, problems) = (ResourceSet::new(), Vec::new());
    let mut cloud = Cloud { app, target, place, names, images, set, problems };
    let functions = cloud.functions(inputs);
    if !cloud.problems.is_empty() {
        return Err(cloud.problems);
    }
    cloud.data();
    cloud.images();
    cloud.machines(&functions);
    cloud.roles(&functions);
    cloud.schedules(&functions);
    for function in functions {
        cloud.add(Resource::CloudFunction(Box::new(function)));
    }
    Ok(cloud.set)
}

/// An app on its way to the cloud, and what it was found to want.
pub(super) struct Cloud<'a> {
    pub(super) app: &'a App,
    pub(super) target: &'a Target,
    pub(super) place: &'a Place,
    pub(super) names: Names,
    /// What images are called that are built, by their content; by image name.
    images: BTreeMap<String, String>,
    pub(super) set: ResourceSet,
    problems: Vec<CloudProblem>,
}

impl Cloud<'_> {
    pub(super) fn add(&mut self, resource: Resource) {
        self.set.insert(resource.id(), resource);
    }

    /// The bucket, volumes, secrets.
    fn data(&mut self) {
        let app = self.app;
        if !self.place.own_bucket {
            let (name, call_retention_days) =
                (self.place.bucket.clone(), self.target.call_retention_days);
            self.add(Resource::Bucket(Store { name, call_retention_days }));
        }
        for name in &app.volumes {
            self.add(Resource::Volume(Volume { name: name.clone() }));
        }
        for (name, secret) in &app.secrets {
            self.add(Resource::Secret(secret_of(name, &secret.keys)));
        }
    }

    /// The images that are built, and where they are kept.
    fn images(&mut self) {
        let app = self.app;
        for (name, reference) in self.images.clone() {
            let Some(recipe) = app.images.get(&name) else { continue };
            if self.target.repository.is_none() {
                let repository = self.names.repository(&name);
                self.add(Resource::Repository(Repository {
                    image: name.clone(),
                    name: repository,
                }));
            }
            let (recipe, pushed) = (recipe.clone(), Some(self.pushed(&name, &reference)));
            let image = NamedImage { name, recipe, reference: Some(reference), pushed };
            self.add(Resource::Image(Box::new(image)));
        }
    }

    /// Where an image that is built as `reference` is pushed to.
    fn pushed(&self, name: &str, reference: &str) -> String {
        let region = &self.place.region;
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let content = reference.rsplit(':').next().unwrap_or_default();
        let (repository, tag) = match &self.target.repository {
            Some(own) => (own.clone(), self.names.image_tag(name, content)),
            None => (self.names.repository(name), content.to_owned()),
        };
        format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com{suffix}/{repository}:{tag}")
    }

    fn functions(&mut self, inputs: Inputs) -> Vec<CloudFunction> {
        let Inputs { mut sources, mut schemas, mut with, .. } = inputs;
        let app = self.app;
        let mut functions = Vec::new();
        for (name, function) in &app.functions {
            let source = sources.remove(name);
            let Some(mut made) = self.function(name, function) else { continue };
            made.spec.source = source.as_ref().map(|source| source.hash.to_string());
            made.spec.schema = schemas.remove(name);
            made.spec.with = with.remove(name).unwrap_or(made.spec.with);
            if let Some(source) = source {
                self.add(Resource::Source(source));
            }
            functions.push(made);
        }
        functions
    }

    /// A function with what follows from its needs; none with a note of what is wrong.
    fn function(&mut self, name: &str, function: &Function) -> Option<CloudFunction> {
        let prices = Prices::with(self.target.prices.clone());
        let choice = match choose(&function.spec, function.spot, function.engine, &prices) {
            Ok(choice) => choice,
            Err(error) => {
                let hint = "ask for less, or use another model or engine".to_owned();
                return self.refuse(name, function, error.to_string(), hint);
            }
        };
        if let Some(schedule) = &function.schedule
            && expression(schedule).is_none()
        {
            let text = format!("AWS can't say the schedule `{schedule}`");
            let hint = "name days of the month or days of the week, without `/`, not both".into();
            return self.refuse(name, function, text, hint);
        }
        let Some(image) = self.image(function) else {
            let text = "a function needs an image on AWS".to_owned();
            let hint = "add `image = \"NAME\"` to it, and `[image.NAME]`".to_owned();
            return self.refuse(name, function, text, hint);
        };
        Some(self.cloud_function(name, function, choice, image))
    }

    fn refuse<T>(
        &mut self,
        name: &str,
        function: &Function,
        text: String,
        hint: String,
    ) -> Option<T> {
        let (function, line) = (name.to_owned(), function.line);
        self.problems.push(CloudProblem { function, line, text, hint });
        None
    }

    /// The image that a function runs in, and whether it is built for it.
    fn image(&self, function: &Function) -> Option<(String, bool)> {
        let name = function.spec.image.as_ref()?;
        if let Some(reference) = self.images.get(name) {
            return Some((self.pushed(name, reference), true));
        }
        Some((self.app.images.get(name)?.uri.clone()?, false))
    }

    fn cloud_function(
        &mut self,
        name: &str,
        function: &Function,
        choice: Choice,
        (image, built): (String, bool),
    ) -> CloudFunction {
        let is_job = choice.engine == Engine::Batch;
        let log_group = self.names.log_group(name);
        self.add(Resource::LogGroup(LogGroup {
            function: name.to_owned(),
            name: log_group.clone(),
            retention_days: self.target.log_retention_days,
        }));
        let role = self.target.role.clone().unwrap_or_else(|| self.names.role("function"));
        let keys = |secret: &String| {
            let keys = self.app.secrets.get(secret).map(|s| s.keys.clone()).unwrap_or_default();
            (secret.clone(), keys)
        };
        CloudFunction {
            secret_keys: function.spec.needed_secrets().iter().map(keys).collect(),
            spec: function.spec.clone(),
            engine: choice.engine,
            reason: choice.reason,
            machine: choice.machine,
            price_per_hour: choice.price_per_hour,
            name: match choice.engine {
                Engine::Batch => self.names.job_definition(name),
                Engine::Lambda => self.names.lambda(name),
            },
            image,
            built,
            vcpus: choice.vcpus,
            memory_mib: choice.memory_mib,
            disk_mib: choice.disk_mib.filter(|_| !is_job),
            queue: is_job.then(|| self.queue_name(&Pools::of(function).id())),
            queue_id: is_job.then(|| Pools::of(function).id()),
            role,
            start_role: is_job.then(|| self.names.role("start")),
            log_group,
            bucket: self.place.bucket.clone(),
        }
    }

    fn queue_name(&self, id: &str) -> String {
        self.target.queue.clone().unwrap_or_else(|| self.names.queue(id))
    }

    /// Queues, what serves them, and what that is started with.
    fn machines(&mut self, functions: &[CloudFunction]) {
        let jobs = functions.iter().filter(|function| function.engine == Engine::Batch);
        let jobs: Vec<_> = jobs.map(|job| (job, &self.app.functions[&job.spec.name])).collect();
        if self.target.queue.is_some() || jobs.is_empty() {
            return;
        }
        let disk = jobs.iter().filter_map(|(job, _)| job.spec.resources.ephemeral_disk_bytes).max();
        let disk_gib = disk.unwrap_or(20 << 30).div_ceil(1 << 30) + DISK_FOR_IMAGES_GIB;
        let template = self.names.name(&format!("{disk_gib}gib"), 128);
        let mut needs: BTreeMap<Pool, BTreeSet<String>> = BTreeMap::new();
        let mut queues: BTreeSet<Pools> = BTreeSet::new();
        for (job, function) in jobs {
            let pools = Pools::of(function);
            for pool in &pools.0 {
                needs.entry(pool.clone()).or_default().insert(job.machine.clone());
            }
            queues.insert(pools);
        }
        let mut environments = BTreeMap::new();
        for (pool, machines) in needs {
            let name = self.environment(&pool, &machines, &template);
            environments.insert(pool, name);
        }
        for pools in queues {
            let id = pools.id();
            let compute_environments =
                pools.0.iter().map(|pool| environments[pool].clone()).collect();
            let name = self.names.queue(&id);
            self.add(Resource::Queue(Queue { id, name, compute_environments }));
        }
        let made = |resource: &Resource| matches!(resource, Resource::Compute(_));
        if self.set.values().any(made) {
            self.add(Resource::LaunchTemplate(LaunchTemplate { name: template, disk_gib }));
        }
    }

    /// Adds the compute environment of a pool, and says its name.
    fn environment(&mut self, pool: &Pool, machines: &BTreeSet<String>, template: &str) -> String {
        if let (None, Some(own)) = (&pool.gpu, &self.target.compute_environment) {
            return own.clone();
        }
        let target = self.target;
        let mut made = ComputeEnvironment {
            id: String::new(),
            name: String::new(),
            gpu: pool.gpu.clone(),
            spot: pool.spot,
            instance_types: pool.instance_types(machines),
            max_vcpus: 0,
            vpc: target.vpc.clone(),
            subnets: target.subnets.clone(),
            security_groups: target.security_groups.clone(),
            launch_template: template.to_owned(),
            machine_role: self.names.role("machine"),
        };
        let suffix = Fingerprint::of(&made).as_str()[..6].to_owned();
        made.max_vcpus = target.max_vcpus;
        made.id = format!("{}-{suffix}", pool.id());
        made.name = format!("{}-{suffix}", self.names.compute_environment(&pool.id()));
        let name = made.name.clone();
        self.add(Resource::Compute(Box::new(made)));
        name
    }

    fn schedules(&mut self, functions: &[CloudFunction]) {
        for function in functions {
            let Some(expression) = self.schedule_of(function) else { continue };
            self.add(Resource::Schedule(Schedule {
                function: function.spec.name.clone(),
                name: self.names.name(&function.spec.name, 64),
                expression,
                engine: function.engine,
                target: function.name.clone(),
                queue: function.queue.clone(),
                role: self.names.role("schedule"),
            }));
        }
    }

    pub(super) fn schedule_of(&self, function: &CloudFunction) -> Option<String> {
        expression(self.app.functions[&function.spec.name].schedule.as_ref()?)
    }
}

/// Machines of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pool {
    gpu: Option<String>,
    spot: bool,
}

impl Pool {
    fn id(&self) -> String {
        let family = self.gpu.as_deref().unwrap_or("cpu").to_ascii_lowercase();
        if self.spot { format!("{family}-spot") } else { family }
    }

    /// Families of machines without a GPU; types with one GPU, and those that functions need more
    /// of: with several GPUs in a machine, some drivers find the encoder of the last one only.
    fn instance_types(&self, needed: &BTreeSet<String>) -> Vec<String> {
        let all = instances_of(self.gpu.as_deref());
        if self.gpu.is_none() {
            let families: BTreeSet<_> = all.map(|instance| instance.family()).collect();
            return families.into_iter().map(str::to_owned).collect();
        }
        all.filter(|instance| instance.gpus == 1 || needed.contains(instance.name))
            .map(|instance| instance.name.to_owned())
            .collect()
    }
}

/// The machines that serve a function, the preferred ones first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pools(Vec<Pool>);

impl Pools {
    fn of(function: &Function) -> Self {
        let spot = function.spot;
        let models = &function.spec.resources.gpu;
        if models.is_empty() {
            return Pools(vec![Pool { gpu: None, spot }]);
        }
        let pool = |model: &String| Pool { gpu: Some(model.clone()), spot };
        Pools(models.iter().take(PER_QUEUE).map(pool).collect())
    }

    fn id(&self) -> String {
        let families: Vec<_> =
            self.0.iter().map(|pool| Pool { spot: false, ..pool.clone() }.id()).collect();
        let spot = self.0.iter().any(|pool| pool.spot);
        format!("{}{}", families.join("-"), if spot { "-spot" } else { "" })
    }
}
