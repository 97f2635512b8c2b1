//! Counters and gauges, which are made by the registry that shows them, so that none can be forgotten.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{counter, gauge};

/// A number that only grows.
pub type Counter = counter::Counter<u64, AtomicU64>;
/// A number that goes up and down.
pub type Gauge = gauge::Gauge<u64, AtomicU64>;

/// The media type of [`Registry::render`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// All metrics of a process. Copies are of the same registry: each part takes one and makes its own metrics by it.
#[derive(Clone)]
pub struct Registry(Arc<RwLock<prometheus_client::registry::Registry>>);

impl Registry {
    /// Makes an empty registry, whose metrics all have names that begin with `prefix` and an underscore.
    pub fn new(prefix: &str) -> Self {
        Self(Arc::new(RwLock::new(prometheus_client::registry::Registry::with_prefix(prefix))))
    }

    /// Makes a counter. It is shown with `_total` behind its name.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.add(name, help, Counter::default())
    }

    /// Makes a gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    /// Makes a counter for each value of a label, which are all shown from the start.
    pub fn counters<L: Label>(&self, name: &str, help: &str) -> Counters<L> {
        let family: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        let counter = |value: &&'static str| family.get_or_create_owned(&[(L::NAME, value)]);
        let counters = L::VALUES.iter().map(counter).collect();
        self.add(name, help, family);
        Counters { counters, label: PhantomData }
    }

    fn add<M: prometheus_client::registry::Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let mut registry = self.0.write().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, help, metric.clone());
        metric
    }

    /// Shows all metrics in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(8 << 10);
        let registry = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _: fmt::Result = prometheus_text::encode(&mut out, &registry);
        out
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

/// A label with a fixed set of values, whose variants are their numbers. Made by [`label!`](crate::label).
pub trait Label: Copy {
    /// The label's name.
    const NAME: &'static str;
    /// The label's values, by their numbers.
    const VALUES: &'static [&'static str];

    /// The number of this value.
    fn index(self) -> usize;
}

/// Counters by the values of a label.
pub struct Counters<L> {
    counters: Vec<Counter>,
    label: PhantomData<fn(L)>,
}

impl<L: Label> Counters<L> {
    /// The counter of a value.
    pub fn of(&self, value: L) -> &Counter {
        &self.counters[value.index()]
    }

    /// Adds as much to each counter as `counts` has at its value's number.
    pub fn add(&self, counts: &[u64]) {
        for (counter, count) in self.counters.iter().zip(counts) {
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
    }
}

impl<L> fmt::Debug for Counters<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.counters).finish()
    }
}

/// Declares an enum whose variants are the values of a metric's [`Label`](crate::metrics::Label).
///
/// ```
/// dayfly_http::label! {
///     /// Why a packet was dropped.
///     pub enum Drop as "reason" {
///         /// Its receiver is not connected.
///         NotHere = "not_here",
///         /// Its receiver did not read fast enough.
///         QueueFull = "queue_full",
///     }
/// }
/// let registry = dayfly_http::Registry::new("relay");
/// let drops = registry.counters::<Drop>("drop", "packets dropped");
/// drops.of(Drop::QueueFull).inc();
/// assert!(registry.render().contains("relay_drop_total{reason=\"queue_full\"} 1\n"));
/// ```
#[macro_export]
macro_rules! label {
    ($(#[$doc:meta])* $vis:vis enum $name:ident as $label:literal {
        $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        $vis enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $crate::metrics::Label for $name {
            const NAME: &'static str = $label;
            const VALUES: &'static [&'static str] = &[$($value,)*];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
