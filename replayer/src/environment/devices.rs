//! Devices of the recorded container: graphics processors have to be here, others are left out.

use exchange::{ContainerConfig, HostEnvironment};

use crate::receipt::Void;

/// Why a service that used a graphics processor cannot be replayed here.
pub(crate) fn gpu_obstacle(
    config: &ContainerConfig,
    recorded: &HostEnvironment,
    here: &HostEnvironment,
    is_here: impl Fn(&str) -> bool,
) -> Option<Void> {
    if !config.uses_gpu() {
        return None;
    }
    let has_model = |model: &str| here.gpus.iter().any(|gpu| gpu.model == model);
    let absent_model = recorded.gpus.iter().find(|gpu| !has_model(&gpu.model)).map(|gpu| gpu.model.clone());
    let absent_device = config.gpu_devices().find(|path| !is_here(path)).cloned();
    let none_at_all = (config.gpus.is_some() && here.gpus.is_empty()).then(|| "an NVIDIA GPU".to_owned());
    let absent = absent_model.or(absent_device).or(none_at_all)?;
    let has: Vec<_> = here.gpus.iter().map(|gpu| gpu.model.as_str()).collect();
    let has = if has.is_empty() { "none that its driver shows".to_owned() } else { has.join(", ") };
    Some(Void {
        reason: format!("the recorded service used a graphics processor, {absent}, and this machine has {has}"),
        help: "replay on a machine that has it, or run the service without it yourself and say `--target URL`"
            .to_owned(),
        ..Void::default()
    })
}

/// What is said of the devices that a replay is not given.
pub(crate) fn devices_left_out(config: &ContainerConfig) -> Vec<String> {
    let left_out = config.devices.iter().filter(|path| config.gpu_devices().all(|gpu| gpu != *path));
    left_out.map(|path| format!("device {path}: left out, as a replay touches nothing real")).collect()
}

#[cfg(test)]
mod tests {
    use exchange::Gpu;

    use super::*;

    fn host(models: &[&str]) -> HostEnvironment {
        let gpu = |model: &&str| Gpu { model: (*model).to_owned(), driver: "550".to_owned() };
        HostEnvironment { gpus: models.iter().map(gpu).collect(), ..HostEnvironment::default() }
    }

    fn given(gpus: Option<&str>, devices: &[&str]) -> ContainerConfig {
        ContainerConfig {
            gpus: gpus.map(str::to_owned),
            devices: devices.iter().map(|path| (*path).to_owned()).collect(),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn a_gpu_that_the_service_used_has_to_be_here_and_one_that_it_did_not_use_does_not() {
        let nowhere = |_: &str| false;
        let void = gpu_obstacle(&given(Some("all"), &[]), &host(&["A100"]), &host(&[]), nowhere).unwrap();
        let words =
            "the recorded service used a graphics processor, A100, and this machine has none that its driver shows";
        assert_eq!(void.reason, words);
        assert!(gpu_obstacle(&given(Some("1"), &[]), &host(&["A100"]), &host(&["L4"]), nowhere).is_some());
        assert_eq!(gpu_obstacle(&given(Some("1"), &[]), &host(&["A100"]), &host(&["A100", "L4"]), nowhere), None);
        assert_eq!(gpu_obstacle(&given(None, &[]), &host(&["A100"]), &host(&[]), nowhere), None);
    }

    #[test]
    fn one_that_no_driver_names_is_known_by_its_device() {
        let config = given(None, &["/dev/dri/renderD128", "/dev/fuse"]);
        let void = gpu_obstacle(&config, &host(&[]), &host(&[]), |_| false).unwrap();
        assert!(void.reason.contains("/dev/dri/renderD128"), "{}", void.reason);
        assert_eq!(gpu_obstacle(&config, &host(&[]), &host(&[]), |_| true), None);
        assert_eq!(devices_left_out(&config), ["device /dev/fuse: left out, as a replay touches nothing real"]);
    }
}
