//! Whose the containers of a pod are. Admission webhooks put others before, behind and beside the worker.

use belfry_crds::contract::env;
use belfry_crds::contract::metrics::WAITING_REASONS;
use belfry_render::deployed::{COPY, WORKER};
use k8s_openapi::api::core::v1::{ContainerStatus, PodSpec, PodStatus};

/// The states of a pod's containers, ours and others.
pub(super) struct Containers<'a> {
    spec: &'a PodSpec,
    status: &'a PodStatus,
}

/// A container that the operator did not ask for.
pub(super) struct Foreign<'a> {
    pub(super) status: &'a ContainerStatus,
    /// The worker can't start before it has ended.
    pub(super) comes_first: bool,
}

impl<'a> Containers<'a> {
    pub(super) const fn of(spec: &'a PodSpec, status: &'a PodStatus) -> Self {
        Self { spec, status }
    }

    /// Our container whose turn it is: the one that copies the model, until it is done, and then the worker.
    pub(super) fn own(&self) -> Option<&'a ContainerStatus> {
        let copying = self.init().find(|container| container.name == COPY && !is_done(container));
        copying.or_else(|| self.status.container_statuses.iter().flatten().find(|container| container.name == WORKER))
    }

    /// The containers of others.
    pub(super) fn foreign(&self) -> impl Iterator<Item = Foreign<'a>> {
        let first = self.init().filter(|container| container.name != COPY);
        let first = first.map(|status| Foreign { status, comes_first: !self.stays(&status.name) });
        let beside = self.status.container_statuses.iter().flatten().filter(|container| container.name != WORKER);
        first.chain(beside.map(|status| Foreign { status, comes_first: false }))
    }

    /// The kubelet's reason while a container waits: ours, or one that it waits for.
    pub(super) fn waiting(&self) -> Option<&'static str> {
        let own = self.own().and_then(waiting).map(|(reason, _)| reason);
        let foreign = || self.foreign().find_map(|container| waiting(container.status)).map(|(reason, _)| reason);
        let reason = match own.as_deref() {
            // That is what the kubelet calls waiting for another container.
            None | Some("PodInitializing") => foreign().or(own),
            Some(_) => own,
        };
        reason.map(|reason| WAITING_REASONS.iter().copied().find(|known| *known == reason).unwrap_or("other"))
    }

    /// Whether what our container leaves behind is written by Belfry's worker, or by `cp`. Another engine's last line may
    /// hold anything, a Secret's value included.
    pub(super) fn speaks_our_language(&self) -> bool {
        let worker = self.spec.containers.iter().find(|container| container.name == WORKER);
        worker.is_some_and(|worker| worker.env.iter().flatten().any(|var| var.name == env::TERMINATION_LOG))
            || self.own().is_some_and(|container| container.name == COPY)
    }

    fn init(&self) -> impl Iterator<Item = &'a ContainerStatus> + use<'a> {
        self.status.init_container_statuses.iter().flatten()
    }

    /// Whether an init container runs on beside the worker.
    fn stays(&self, name: &str) -> bool {
        let mut all = self.spec.init_containers.iter().flatten();
        all.any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
    }
}

pub(super) fn is_done(container: &ContainerStatus) -> bool {
    let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.is_some_and(|ended| ended.exit_code == 0)
}

/// The kubelet's reason and message while a container waits.
pub(super) fn waiting(container: &ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    Some((waiting.reason.clone()?, waiting.message.clone().unwrap_or_default()))
}
