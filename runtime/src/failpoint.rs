//! Named places where a test makes the real program die, to see what the next one finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// At most one place, and how often it is passed before the program dies there.
#[derive(Clone, Debug, Default)]
pub struct Failpoint(Option<Arc<Armed>>);

#[derive(Debug)]
struct Armed {
    name: String,
    passes_left: AtomicU32,
}

impl Failpoint {
    /// None: the program never dies on purpose.
    pub fn none() -> Self {
        Failpoint(None)
    }

    /// Reads `NAME` or `NAME:N`, which dies at the Nth pass.
    pub fn parse(text: &str) -> Self {
        let (name, passes) = text.split_once(':').unwrap_or((text, "1"));
        let passes_left = AtomicU32::new(passes.parse().unwrap_or(1));
        Failpoint(Some(Arc::new(Armed { name: name.into(), passes_left })))
    }

    /// Dies here, without unwinding or flushing anything, if this is the place.
    pub fn hit(&self, name: &str) {
        let Some(armed) = &self.0 else { return };
        if armed.name == name && armed.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
}
