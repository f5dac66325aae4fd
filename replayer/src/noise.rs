//! Which noise profiles a replay uses, and what the receipt says of it.
//!
//! In: profiles that were found or given, and the recorded version. Out: those of this version, and why others are left out:
//! a profile is void with the version that it was learned from.

use std::sync::Arc;

use diff::{Estimate, ExchangeResult, Noise, NoiseUse};
use exchange::{Digest, Fingerprint, Id, NoiseProfile, Subject};
use serde::{Deserialize, Serialize};

use crate::replay::identity_words;

/// A noise profile, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundProfile {
    /// A file.
    pub from: String,
    /// The profile.
    pub profile: NoiseProfile,
}

/// What was found of noise before a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundNoise {
    /// Profiles, of whatever versions.
    pub profiles: Vec<FoundProfile>,
    /// What could not be read, and why.
    pub unreadable: Vec<String>,
}

impl FoundNoise {
    /// Those of the recorded version alone; of the others what is said of them.
    pub(crate) fn of_version(mut self, recorded: Option<&Fingerprint>) -> Self {
        let version = version_of(recorded);
        let is_meant = |found: &FoundProfile| !version.is_empty() && found.profile.version == version;
        let (meant, others) = self.profiles.into_iter().partition(is_meant);
        let others: Vec<FoundProfile> = others;
        self.unreadable.extend(others.iter().map(FoundProfile::not_used));
        Self { profiles: meant, ..self }
    }

    /// Without what this very run taught: it is no witness of itself.
    pub(crate) fn not_of(mut self, run: Id) -> Self {
        self.profiles.retain(|found| !found.profile.runs.contains(&run));
        self
    }
}

impl FoundProfile {
    fn not_used(&self) -> String {
        format!("{}: learned of another version, {}", self.from, self.profile.version)
    }
}

/// What is said of noise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseProof {
    /// The profiles that were used.
    pub profiles: Vec<ProfileProof>,
    /// What was found and not used, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_used: Vec<String>,
    /// Differences that were set apart, by place, each with its evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<NoiseUse>,
    /// How often an answer of an unchanged service is expected to be reported all the same, by route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmRate>,
}

/// A profile that was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileProof {
    /// The file that it was found in.
    pub from: String,
    /// The version that it was learned of.
    pub version: String,
    /// The runs that it was learned from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Id>,
    /// How many places it knows.
    pub places: u64,
    /// Comparisons of the exchange that had the fewest.
    pub compared_min: u64,
}

/// How often an unchanged answer is expected to be reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmRate {
    /// Method and path, what looks like an id as `*`; of calls with their dependency before them.
    pub route: String,
    /// Answers, or calls, while learning, that the others would not have covered, of those that were compared.
    pub rate: Estimate,
}

/// The profiles of one version, and what is said of all.
pub(crate) struct Chosen {
    pub(crate) noise: Arc<Noise>,
    proof: Option<NoiseProof>,
}

/// What a profile is keyed by: an image's identity, or of a process its executable's and that of the files named in its
/// arguments. Empty where nothing is known.
pub fn service_version(subject: &Subject) -> String {
    let words = identity_words(subject);
    match subject {
        Subject::Process(process) if !process.files.is_empty() => {
            let digests: Vec<u8> = process.files.iter().flat_map(|(_, digest)| digest.0).collect();
            format!("{words}, files {}", Digest::of(&digests).short())
        }
        _ => words,
    }
}

fn version_of(recorded: Option<&Fingerprint>) -> String {
    recorded.map(|recorded| service_version(&recorded.subject)).unwrap_or_default()
}

/// Chooses the profiles of the recorded version; of repeats only what says nothing of flakiness.
pub(crate) fn choose(found: &FoundNoise, recorded: Option<&Fingerprint>, is_repeated: bool) -> Chosen {
    let found = found.clone().of_version(recorded);
    let mut proof = NoiseProof { not_used: found.unreadable, ..NoiseProof::default() };
    let mut used: Vec<NoiseProfile> = Vec::new();
    for FoundProfile { from, profile } in &found.profiles {
        if !used.contains(profile) {
            proof.profiles.push(ProfileProof {
                from: from.clone(),
                version: profile.version.clone(),
                runs: profile.runs.clone(),
                places: profile.places.len() as u64,
                compared_min: profile.compared_min,
            });
            used.push(profile.clone());
        }
    }
    let is_empty = proof.profiles.is_empty() && proof.not_used.is_empty();
    let noise = Noise::of(used);
    let noise = if is_repeated { noise.for_repeats() } else { noise };
    Chosen { noise: Arc::new(noise), proof: (!is_empty).then_some(proof) }
}

impl Chosen {
    /// What the receipt says, after `hidden` was set apart.
    pub(crate) fn proof(&self, hidden: Vec<NoiseUse>, results: &[ExchangeResult]) -> Option<Box<NoiseProof>> {
        let proof = self.proof.clone()?;
        let mut routes: Vec<&str> = results.iter().map(|result| result.route.as_str()).collect();
        routes.extend(self.noise.calls());
        routes.sort_unstable();
        routes.dedup();
        let rate = |route: &str| Some(AlarmRate { route: route.to_owned(), rate: self.noise.alarms(route)? });
        Some(Box::new(NoiseProof { hidden, alarms: routes.into_iter().filter_map(rate).collect(), ..proof }))
    }
}

#[cfg(test)]
mod tests {
    use exchange::{HostEnvironment, ProcessIdentity};

    use super::*;

    #[test]
    fn what_a_run_taught_is_no_noise_to_itself() {
        let of = |runs: &[u8]| FoundProfile {
            from: "run.retake".to_owned(),
            profile: NoiseProfile { runs: runs.iter().map(|run| Id([*run; 16])).collect(), ..NoiseProfile::default() },
        };
        let found = FoundNoise { profiles: vec![of(&[1]), of(&[2]), of(&[2, 1])], unreadable: Vec::new() };
        assert_eq!(found.not_of(Id([1; 16])).profiles, [of(&[2])]);
    }

    #[test]
    fn a_profile_of_another_version_is_not_used_and_told() {
        let process = ProcessIdentity { executable: "/usr/bin/app".to_owned(), ..ProcessIdentity::default() };
        let subject = Subject::Process(Box::new(process));
        let version = service_version(&subject);
        let recorded = Fingerprint { subject, host: HostEnvironment::default(), packages: Vec::new() };
        let profile = |version: &str| NoiseProfile { version: version.to_owned(), ..NoiseProfile::default() };
        let found = |version: &str| FoundProfile { from: "run.retake".to_owned(), profile: profile(version) };
        let both = FoundNoise { profiles: vec![found(&version), found("v0")], unreadable: Vec::new() };
        let proof = choose(&both, Some(&recorded), false).proof(Vec::new(), &[]).unwrap();
        assert_eq!(proof.profiles.len(), 1);
        assert!(proof.not_used.iter().any(|words| words.contains("another version, v0")), "{proof:?}");
        assert!(choose(&both, None, true).noise.is_empty());
        assert!(choose(&FoundNoise::default(), Some(&recorded), true).proof(Vec::new(), &[]).is_none());
    }
}
