//! Workers that are held ready, as `min_containers` asks, by an executor that serves.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Executor, FunctionQueue, Mode, Request, Signal, WorkerKey};
use crate::catalog::{Catalog, Published};
use crate::dispatch::Callee;
use crate::dispatch::local::record::KnownFunction;
use crate::home::Home;

/// How long a worker that ended while it was held stays away: one that can't live would be started
/// without end.
const PAUSE: Duration = Duration::from_secs(5);

impl Executor {
    /// Looks which functions want workers held ready.
    pub(super) fn look_at_catalog(&self) {
        if *self.mode.borrow() != Mode::Serve {
            return;
        }
        let home = self.setup.home.clone();
        let (writer, signals) = (self.writer.clone(), self.signals.clone());
        tokio::spawn(async move {
            let published = tokio::task::spawn_blocking(move || published(&home)).await;
            let published = published.unwrap_or_default();
            let deployed = published.iter().map(versioned).collect();
            let wanting = published.into_iter();
            let wanting: Vec<_> =
                wanting.filter(|(_, p)| p.function.scaling.min_containers > 0).collect();
            let known = writer
                .write(move |queue| {
                    let known = |(environment, published): (String, Published)| {
                        let (version, spec) = (published.version, published.function);
                        let id = queue.function_row(&environment, version, &spec)?;
                        Ok(KnownFunction {
                            id,
                            environment,
                            version,
                            spec,
                            has_children: false,
                            priority: None,
                        })
                    };
                    wanting.into_iter().map(known).collect()
                })
                .await;
            // The executor is gone only when nobody needs the answer.
            let _ = signals.send(match known {
                Ok(known) => Signal::Held(deployed, known),
                Err(error) => Signal::Broken(error),
            });
        });
    }

    /// Holds workers of these functions and of no others, and keeps none warm of what isn't deployed
    /// any more.
    pub(super) fn held(
        &mut self,
        deployed: &HashSet<(Callee, u64)>,
        functions: Vec<KnownFunction>,
    ) {
        for function in self.functions.values_mut() {
            function.hold = 0;
            // One of version 0 runs without being deployed.
            let (callee, version) = (Callee::clone(&function.callee), function.version);
            function.replaced = version > 0 && !deployed.contains(&(callee, version));
        }
        for known in functions {
            let hold = known.spec.scaling.min_containers;
            let id = known.id;
            if !self.functions.contains_key(&id) {
                self.functions.insert(id, FunctionQueue::new(known, &self.setup.capacity));
                self.turns.push_back(id);
            }
            if let Some(function) = self.functions.get_mut(&id) {
                function.hold = hold;
            }
        }
        self.hold();
        self.release_spare();
    }

    /// Starts the workers that are missing.
    pub(super) fn hold(&mut self) {
        let wanting: Vec<_> = self.functions.iter().map(|(id, f)| (*id, f.hold)).collect();
        for (id, hold) in wanting {
            let there = self.workers.values().filter(|worker| worker.function == id).count();
            for _ in there..hold as usize {
                match self.start_worker(id) {
                    Ok(key) => self.prepare(id, key),
                    Err(why) => {
                        tracing::warn!("a worker {why}");
                        self.hold_due = Some(Instant::now() + PAUSE);
                        break;
                    }
                }
            }
        }
    }

    fn prepare(&mut self, id: i64, key: WorkerKey) {
        if let Some(worker) = self.workers.get(&key) {
            // A worker's task that is gone has sent its news.
            let _ = worker.requests.send(Request::Prepare);
        }
        self.rest(key, id);
    }

    /// Lets idle workers go that were held and aren't any more, or whose function was replaced.
    fn release_spare(&mut self) {
        let idle: Vec<_> = self
            .functions
            .iter()
            .flat_map(|(id, f)| f.idle.iter().map(|key| (*id, *key)))
            .collect();
        for (id, key) in idle {
            let until = self.idle_until(id);
            let replaced = self.functions.get(&id).is_some_and(|function| function.replaced);
            if let Some(worker) = self.workers.get_mut(&key)
                && (worker.idle_until.is_none() || replaced)
            {
                worker.idle_until = until;
            }
        }
    }

    /// When an idle worker of a function ends; none for one that is held.
    pub(super) fn idle_until(&self, id: i64) -> Option<Instant> {
        let function = self.functions.get(&id)?;
        if function.replaced {
            return Some(Instant::now());
        }
        let held = function
            .idle
            .iter()
            .filter_map(|key| self.workers.get(key))
            .filter(|worker| worker.current.is_none() && worker.idle_until.is_none());
        if held.count() <= function.hold as usize && function.hold > 0 {
            return None;
        }
        let window = function.spec.scaling.scaledown_window_seconds;
        Some(Instant::now() + Duration::try_from_secs_f64(window).unwrap_or_default())
    }

    /// Replaces a worker that ended, should it have been one that is held.
    pub(super) fn hold_again(&mut self, id: i64) {
        if self.functions.get(&id).is_some_and(|function| function.hold > 0) {
            self.hold_due.get_or_insert(Instant::now() + PAUSE);
        }
    }
}

/// The deployed functions, with their environments.
fn published(home: &Home) -> Vec<(String, Published)> {
    let environments = home.environments().unwrap_or_default();
    let of = |environment: String| {
        let catalog = Catalog::new(home.environment(&environment));
        let names = catalog.list().unwrap_or_default();
        let published =
            names.into_iter().filter_map(move |name| catalog.read(&name).ok().flatten());
        published.map(move |published| (environment.clone(), published)).collect::<Vec<_>>()
    };
    environments.into_iter().flat_map(of).collect()
}

fn versioned((environment, published): &(String, Published)) -> (Callee, u64) {
    let callee = Callee {
        environment: environment.clone(),
        app: published.function.app.clone(),
        function: published.function.name.clone(),
    };
    (callee, published.version)
}
