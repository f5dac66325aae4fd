//! What a container is called and which processors it has (level 1).
//!
//! In: what was recorded, and what of it this machine has. Out: what the container gets. It has no network, and so no
//! interface whose address (MAC) an id could be made from: there is nothing to set.

use exchange::ContainerConfig;

use super::{Asked, Control, Controls, State};

/// What a container is called whose name was not recorded, so that each has the same. A choice.
const NAME: &str = "service";

/// Sets the name and the processors, whose limits were fitted to this machine, where `recorded_set` are the recorded ones.
pub(crate) fn set_place(
    config: &mut ContainerConfig,
    recorded_set: Option<&str>,
    asked: &Asked,
    controls: &mut Controls,
) {
    if asked.why_off(Control::HostName).is_some() {
        config.hostname.clear();
    } else if config.hostname.is_empty() {
        NAME.clone_into(&mut config.hostname);
        controls.say(Control::HostName, State::On, vec![format!("{NAME}, as none was recorded")]);
    } else {
        controls.say(Control::HostName, State::On, vec![config.hostname.clone()]);
    }
    if asked.why_off(Control::CpuSet).is_some() {
        config.limits.cpu_set = None;
        return;
    }
    let (state, words) = match (recorded_set, config.limits.cpu_set.as_deref()) {
        (None, None) => (State::On, "none was recorded: all processors".to_owned()),
        (Some(recorded), None) => (State::Failed, format!("the recorded {recorded} is not to be had here")),
        (Some(recorded), Some(here)) if recorded != here => {
            (State::On, format!("{here}, as many as the recorded {recorded}, which are not here"))
        }
        (_, Some(here)) => (State::On, here.to_owned()),
    };
    controls.say(Control::CpuSet, state, vec![words]);
}

/// Says what a process has, which is started on this machine as it is.
pub(crate) fn keep_place(asked: &Asked, controls: &mut Controls) {
    for control in [Control::HostName, Control::CpuSet] {
        if asked.why_off(control).is_none() {
            controls.say(control, State::On, vec!["this machine's, as for each process on it".to_owned()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use exchange::Limits;

    use super::*;

    fn config(name: &str, set: Option<&str>) -> ContainerConfig {
        let limits = Limits { cpu_set: set.map(str::to_owned), ..Limits::default() };
        ContainerConfig { hostname: name.to_owned(), limits, ..ContainerConfig::default() }
    }

    fn said(controls: &Controls, asked: &Asked, control: Control) -> (State, String) {
        let one = controls.all(asked).into_iter().find(|one| one.control == control).unwrap();
        (one.state, one.words.join("; "))
    }

    #[test]
    fn a_container_has_the_recorded_name_and_one_without_always_the_same() {
        let asked = Asked::default();
        for (recorded, here) in [("svc", "svc"), ("", NAME)] {
            let (mut config, mut controls) = (config(recorded, None), Controls::default());
            set_place(&mut config, None, &asked, &mut controls);
            assert_eq!(config.hostname, here);
            assert_eq!(said(&controls, &asked, Control::HostName).0, State::On);
        }
    }

    #[test]
    fn processors_that_are_not_here_are_replaced_by_as_many_or_cost_the_level() {
        let asked = Asked::default();
        let came = |recorded, here| {
            let mut controls = Controls::default();
            set_place(&mut config("svc", here), recorded, &asked, &mut controls);
            said(&controls, &asked, Control::CpuSet)
        };
        assert_eq!(came(None, None).0, State::On);
        assert_eq!(came(Some("0-1"), Some("0-1")), (State::On, "0-1".to_owned()));
        let (state, words) = came(Some("6-7"), Some("0-1"));
        assert!(state == State::On && words.starts_with("0-1, as many as the recorded 6-7"), "{words}");
        assert_eq!(came(Some("0-63"), None).0, State::Failed);
    }

    #[test]
    fn either_can_be_left_off() {
        let without = BTreeSet::from([Control::HostName, Control::CpuSet]);
        let asked = Asked { without, ..Asked::default() };
        let (mut config, mut controls) = (config("svc", Some("0-1")), Controls::default());
        set_place(&mut config, Some("0-1"), &asked, &mut controls);
        assert_eq!((config.hostname.as_str(), &config.limits.cpu_set), ("", &None));
        keep_place(&asked, &mut controls);
        for control in [Control::HostName, Control::CpuSet] {
            assert_eq!(said(&controls, &asked, control).0, State::Off);
        }
    }
}
