//! Variables that take randomness out of languages and libraries (level 1).
//!
//! What was recorded or given has the last word: nothing is written over. Each entry has its reason.

use std::collections::BTreeMap;

use exchange::{Fingerprint, Subject};
use serde::{Deserialize, Serialize};

use super::{Alike, Asked, Control, Controlled, Controls, State};

/// A variable, its value, and what it holds still.
type Entry = (&'static str, &'static str, &'static str);

/// Set whatever the replay is to be alike to: they choose among what production may have done, and nothing that it cannot.
const ALWAYS: [Entry; 8] = [
    ("PYTHONHASHSEED", "0", "the order of Python's sets"),
    ("PYTHONDONTWRITEBYTECODE", "1", "no file written at the first start and found at the second"),
    ("OMP_DYNAMIC", "FALSE", "OpenMP's number of threads stays what it is"),
    ("MKL_DYNAMIC", "FALSE", "MKL's number of threads stays what it is"),
    ("KMP_DETERMINISTIC_REDUCTION", "1", "OpenMP adds partial sums in one order"),
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:8", "cuBLAS has one workspace for each stream"),
    ("TOKENIZERS_PARALLELISM", "false", "tokenizers work in one order"),
    (
        "OPENSSL_ia32cap",
        "~0x4000000000000010:~0x40000",
        "OpenSSL asks the processor neither for random numbers nor for ticks",
    ),
];

/// Set where the replay is to be alike to itself: they make libraries compute in a way that production perhaps did not.
const TO_ITSELF: [Entry; 6] = [
    ("MKL_CBWR", "COMPATIBLE", "MKL takes one code path on every processor"),
    ("NVIDIA_TF32_OVERRIDE", "0", "no rounding to TF32"),
    ("TF_DETERMINISTIC_OPS", "1", "TensorFlow takes its deterministic kernels"),
    ("VLLM_BATCH_INVARIANT", "1", "vLLM gives the same whatever else is in the batch"),
    ("GODEBUG", "asyncpreemptoff=1", "Go's goroutines are preempted at calls alone"),
    ("UV_THREADPOOL_SIZE", "1", "Node's files and names one after the other"),
];

/// What says how many threads a library starts.
const THREADS: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
    "GOMAXPROCS",
];

/// How many processors the service could run on, and can here; 0 where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Processors {
    pub(crate) recorded: u32,
    pub(crate) here: u32,
}

impl Processors {
    /// What was recorded, and a machine: of a container that had a set of CPUs, libraries counted that set.
    pub(crate) fn of(recorded: Option<&Fingerprint>, here: u32) -> Self {
        let set = recorded.and_then(|recorded| match &recorded.subject {
            Subject::Container(container) => container.config.limits.cpu_set_len(),
            _ => None,
        });
        let machine = recorded.map(|recorded| recorded.host.cpu_count).unwrap_or_default();
        Self { recorded: set.unwrap_or(machine), here }
    }

    /// The same where it runs on a set of so many CPUs here, if on one.
    pub(crate) fn on_set(self, len: Option<u32>) -> Self {
        Self { here: len.unwrap_or(self.here), ..self }
    }
}

/// What is left to chance below level 3 although the variables of level 1 are set: what was recorded has the last word.
pub(crate) fn left_random(controls: &[Controlled], level: u8) -> Option<String> {
    let said = controls.iter().filter(|one| one.control == Control::Variables && one.state == State::On);
    let is_random = said.flat_map(|one| &one.words).any(|words| words.starts_with("PYTHONHASHSEED=random "));
    let words = "PYTHONHASHSEED=random, as recorded or given: Python draws the order of its sets anew at each start";
    (is_random && (1..3).contains(&level)).then(|| words.to_owned())
}

/// Adds the variables of level 1 to those of the service, and says what was set.
pub(crate) fn set_variables(
    values: &mut BTreeMap<String, String>,
    asked: &Asked,
    processors: Processors,
    controls: &mut Controls,
) {
    if asked.why_off(Control::Variables).is_none() {
        let more = if asked.alike == Alike::Itself { &TO_ITSELF[..] } else { &[] };
        let words = ALWAYS.iter().chain(more).map(|&(name, value, why)| {
            let kept = values.get(name).filter(|kept| *kept != value);
            if let Some(kept) = kept {
                return format!("{name}={kept} as recorded or given");
            }
            values.insert(name.to_owned(), value.to_owned());
            format!("{name}={value}: {why}")
        });
        let words = words.collect();
        controls.say(Control::Variables, State::On, words);
    }
    if asked.why_off(Control::Threads).is_none() {
        let words = set_threads(values, asked.alike, processors);
        controls.say(Control::Threads, State::On, words);
    }
}

/// One thread, or as many as production's libraries took, which is one for each processor.
fn set_threads(values: &mut BTreeMap<String, String>, alike: Alike, processors: Processors) -> Vec<String> {
    let count = match alike {
        Alike::Itself => 1,
        Alike::Production if processors.recorded == processors.here || processors.recorded == 0 => {
            return vec![format!("as many processors as recorded ({}): libraries choose as they did", processors.here)];
        }
        Alike::Production => processors.recorded,
    };
    let mut words = Vec::new();
    for name in THREADS {
        match values.get(name) {
            Some(kept) => words.push(format!("{name}={kept} as recorded or given")),
            None => {
                values.insert(name.to_owned(), count.to_string());
                words.push(format!("{name}={count}"));
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn set(recorded: &[(&str, &str)], asked: &Asked, processors: Processors) -> (BTreeMap<String, String>, Controls) {
        let mut values = recorded.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut controls = Controls::default();
        set_variables(&mut values, asked, processors, &mut controls);
        (values, controls)
    }

    #[test]
    fn what_was_recorded_is_not_written_over_and_the_rest_is_set() {
        let (values, controls) = set(&[("PYTHONHASHSEED", "7")], &Asked::default(), Processors::default());
        assert_eq!(values["PYTHONHASHSEED"], "7");
        assert_eq!(values["OMP_DYNAMIC"], "FALSE");
        assert!(!values.contains_key("MKL_CBWR") && !values.contains_key("OMP_NUM_THREADS"));
        let said = &controls.all(&Asked::default())[0];
        assert!(said.words.contains(&"PYTHONHASHSEED=7 as recorded or given".to_owned()), "{said:?}");
    }

    #[test]
    fn threads_are_those_of_the_cpus_that_a_container_had_not_of_its_machine() {
        let len = |set: &str| {
            let cpu_set = Some(set.to_owned());
            exchange::Limits { cpu_set, ..exchange::Limits::default() }.cpu_set_len()
        };
        assert_eq!(["0-3", "0-3,5", "7", "1, 3"].map(len), [Some(4), Some(5), Some(1), Some(2)]);
        assert_eq!(["", "x", "3-1", "0-4294967295", "0-4294967294,0"].map(len), [None; 5]);
        let host = exchange::HostEnvironment { cpu_count: 64, ..Default::default() };
        let mut recorded = Fingerprint { subject: Subject::Unknown, host, packages: Vec::new() };
        assert_eq!(Processors::of(Some(&recorded), 2), Processors { recorded: 64, here: 2 });
        let (image, config) = (Default::default(), Default::default());
        let mut container = exchange::ContainerIdentity { image, config };
        container.config.limits.cpu_set = Some("0-3".to_owned());
        recorded.subject = Subject::Container(Box::new(container));
        let processors = Processors::of(Some(&recorded), 2);
        let (values, _) = set(&[], &Asked::default(), processors.on_set(None));
        assert_eq!(values["OMP_NUM_THREADS"], "4");
        // On the same set libraries choose as they did.
        let (values, _) = set(&[], &Asked::default(), Processors { here: 64, ..processors }.on_set(Some(4)));
        assert!(!values.contains_key("OMP_NUM_THREADS"));
        assert_eq!(Processors::of(None, 2), Processors { recorded: 0, here: 2 });
    }

    #[test]
    fn a_hash_seed_that_was_recorded_as_random_is_excluded_by_name_until_what_it_is_drawn_from_is_held() {
        let excluded = |seed: &str, level| {
            let (values, controls) = set(&[("PYTHONHASHSEED", seed)], &Asked::default(), Processors::default());
            assert_eq!(values["PYTHONHASHSEED"], seed);
            left_random(&controls.all(&Asked::default()), level)
        };
        assert!([1, 2].iter().all(|&level| excluded("random", level).unwrap().starts_with("PYTHONHASHSEED=random")));
        assert_eq!([0, 3].map(|level| excluded("random", level)), [None, None]);
        assert_eq!(excluded("7", 1), None);
    }

    #[test]
    fn threads_are_productions_where_this_machine_has_another_number_of_processors() {
        let processors = Processors { recorded: 16, here: 2 };
        let (values, _) = set(&[("OMP_NUM_THREADS", "4")], &Asked::default(), processors);
        assert_eq!((values["OMP_NUM_THREADS"].as_str(), values["RAYON_NUM_THREADS"].as_str()), ("4", "16"));
        let itself = Asked { alike: Alike::Itself, ..Asked::default() };
        let (values, _) = set(&[], &itself, processors);
        assert_eq!((values["RAYON_NUM_THREADS"].as_str(), values["MKL_CBWR"].as_str()), ("1", "COMPATIBLE"));
    }

    #[test]
    fn nothing_is_set_where_it_was_left_off() {
        let off = Asked { without: BTreeSet::from([Control::Variables, Control::Threads]), ..Asked::default() };
        for asked in [Asked { level: 0, ..Asked::default() }, off] {
            let (values, controls) = set(&[], &asked, Processors { recorded: 8, here: 2 });
            assert!(values.is_empty(), "{values:?}");
            assert!(controls.all(&asked).iter().all(|one| one.state != State::On));
        }
    }
}
