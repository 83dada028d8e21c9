//! The operator's place in the API server: the APIService that leads to it, and the front proxy that comes from there.
//!
//! While an APIService leads to a Service without a server, Kubernetes can't finish the deletion of any namespace. So an
//! operator that serves makes it, and one that ends deletes it. Where two serve, the other one makes it again at once. To
//! take the Service out of it would not do: the API server then goes on to name the group, as stale.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec, ServiceReference};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::api::{GROUP, VERSION};
use super::certificate::{Certificate, CertificateError, ROTATE_DAYS, bundle};
use super::front_proxy::FrontProxy;
use super::listener::Identity;
use super::options::HTTPS;
use super::{Scaling, ScalingArgs, ServiceName};
use belfry_render::children::metadata::MANAGER;

/// How long before its use the next certificate is registered with the API server.
const OVERLAP: Duration = Duration::from_secs(3600);

const ROTATE: Duration = Duration::from_secs(ROTATE_DAYS * 24 * 3600);

/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Bound of the last write.
const WITHDRAWAL: Duration = Duration::from_secs(5);

/// Follows the ConfigMap of the front proxy and the APIService, and keeps certificate and trust in step.
pub(super) struct Registration {
    scaling: Arc<Scaling>,
    client: Client,
    service: ServiceName,
    /// Name of the ClusterRole that owns the APIService.
    role: Option<String>,
    identity: Identity,
    /// The first one is shown; the API server trusts all.
    certificates: Vec<Certificate>,
    front_proxy: Option<FrontProxy>,
    /// The outer one is `None` before the cluster was asked.
    api_service: Option<Option<APIService>>,
    /// The ConfigMap of the front proxy was looked for.
    has_looked: bool,
}

impl Registration {
    pub(super) fn new(
        scaling: Arc<Scaling>,
        client: Client,
        args: &ScalingArgs,
        identity: Identity,
    ) -> Result<Self, CertificateError> {
        let (service, role) = (args.external_metrics_service.clone(), args.external_metrics_role.clone());
        let certificates = vec![Certificate::new(&service.dns_name(), Timestamp::now())?];
        Ok(Self {
            scaling,
            client,
            service,
            role,
            identity,
            certificates,
            front_proxy: None,
            api_service: None,
            has_looked: false,
        })
    }

    /// Runs until it is to end, and deletes the APIService then.
    pub(super) async fn follow(mut self) {
        let config_maps = Api::<ConfigMap>::namespaced(self.client.clone(), "kube-system");
        let config_maps = watcher::watch_object(config_maps, "extension-apiserver-authentication").default_backoff();
        let api_services = watcher::watch_object(Api::<APIService>::all(self.client.clone()), &api_service_name());
        let (mut config_maps, mut api_services) =
            (std::pin::pin!(config_maps), std::pin::pin!(api_services.default_backoff()));
        let mut rotation = Instant::now() + ROTATE;
        let mut retry: Option<Instant> = None;
        let scaling = self.scaling.clone();
        loop {
            tokio::select! {
                () = scaling.is_ending.notified() => return self.withdraw().await,
                Some(event) = config_maps.next() => match event {
                    Ok(config) => self.front_proxy_changed(config.as_ref()),
                    Err(error) => warn!(%error, "Can't see who the API server's front proxy is"),
                },
                Some(event) = api_services.next() => match event {
                    Ok(found) => self.api_service = Some(found),
                    Err(error) => warn!(%error, "Can't see the APIService of external metrics"),
                },
                () = sleep_until(rotation) => rotation = Instant::now() + self.rotate(),
                () = sleep_until(retry.unwrap_or(rotation)), if retry.is_some() => {}
            }
            retry = self.settle().await.then(|| Instant::now() + RETRY);
        }
    }

    fn front_proxy_changed(&mut self, config: Option<&ConfigMap>) {
        self.has_looked = true;
        self.front_proxy = match config.map(FrontProxy::of) {
            Some(Ok(front_proxy)) => Some(front_proxy),
            Some(Err(error)) => {
                warn!(%error, "No caller can be let in to the external metrics");
                None
            }
            None => None,
        };
    }

    /// Adds the next certificate, and an hour later takes the present one away. Returns the time to the next step.
    fn rotate(&mut self) -> Duration {
        if self.certificates.len() > 1 {
            self.certificates.remove(0);
            return ROTATE;
        }
        match Certificate::new(&self.service.dns_name(), Timestamp::now()) {
            Ok(next) => self.certificates.push(next),
            Err(error) => warn!(%error, "The present certificate stays"),
        }
        OVERLAP
    }

    /// Brings the APIService's trust, the server's identity and the models' conditions in step. Returns whether a write
    /// failed and has to be tried again.
    async fn settle(&mut self) -> bool {
        let Some(api_service) = self.api_service.as_ref().filter(|_| self.has_looked) else { return false };
        let mut unavailable = self.unavailable(api_service.as_ref());
        let server = self.front_proxy.as_ref().zip(self.certificates.first());
        let server = server.and_then(|(proxy, certificate)| match proxy.server(certificate) {
            Ok(server) => Some(Arc::new(server)),
            Err(error) => {
                warn!(%error, "The external metrics can't be served");
                None
            }
        });
        let serves = server.is_some();
        *self.identity.write() = server;
        let mut failed = false;
        if unavailable.is_none() && serves {
            let written = match api_service {
                Some(api_service) => self.publish(api_service).await,
                None => self.create().await,
            };
            if let Err(error) = written {
                let error = format!("the APIService {} can't be written: {error}", api_service_name());
                warn!(error, "The API server does not ask this operator for external metrics; it is tried again");
                unavailable = api_service.is_none().then_some(error);
                failed = true;
            }
        }
        self.scaling.set_unavailable(unavailable);
        failed
    }

    /// Why no HorizontalPodAutoscaler can reach the operator, if so.
    fn unavailable(&self, api_service: Option<&APIService>) -> Option<String> {
        if self.front_proxy.is_none() {
            return Some("the API server has no front proxy: set its --requestheader-client-ca-file".into());
        }
        let owner = leads_to(api_service?)?;
        (owner != self.service).then(|| {
            let name = api_service_name();
            format!(
                "the APIService {name} leads to {owner}: use provider KEDA if that is KEDA, or uninstall that adapter"
            )
        })
    }

    /// Adds our certificates to those that the API server trusts, if they are not among them.
    async fn publish(&self, api_service: &APIService) -> Result<(), kube::Error> {
        let known = api_service.spec.as_ref().and_then(|spec| spec.ca_bundle.clone()).unwrap_or_default();
        let Some(next) = bundle(&String::from_utf8_lossy(&known.0), &self.certificates) else { return Ok(()) };
        // With the version that was read, so that of two operators none takes the other's certificates away.
        let version = &api_service.metadata.resource_version;
        let body =
            json!({"metadata": {"resourceVersion": version}, "spec": {"caBundle": ByteString(next.into_bytes())}});
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..Default::default() };
        self.api().patch(&api_service_name(), &params, &Patch::Merge(body)).await?;
        info!("The API server trusts the present certificate of the external metrics");
        Ok(())
    }

    /// Makes the APIService. One that another adapter has made meanwhile is a conflict.
    #[allow(clippy::disallowed_methods, reason = "an apply would take over the one of another adapter")]
    async fn create(&self) -> Result<(), kube::Error> {
        let ServiceName { namespace, name, port } = &self.service;
        let bundle = bundle("", &self.certificates).unwrap_or_default();
        let spec = APIServiceSpec {
            group: Some(GROUP.into()),
            version: Some(VERSION.into()),
            group_priority_minimum: 100,
            version_priority: 100,
            service: Some(ServiceReference {
                namespace: Some(namespace.clone()),
                name: Some(name.clone()),
                port: Some((*port).into()),
            }),
            ca_bundle: Some(ByteString(bundle.into_bytes())),
            ..Default::default()
        };
        let metadata = ObjectMeta {
            name: Some(api_service_name()),
            labels: Some([("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned())].into()),
            owner_references: self.owner().await?.map(|owner| vec![owner]),
            ..Default::default()
        };
        let params = PostParams { field_manager: Some(MANAGER.into()), ..Default::default() };
        self.api().create(&params, &APIService { metadata, spec: Some(spec), status: None }).await?;
        info!("The API server asks this operator for external metrics, and trusts its certificate");
        Ok(())
    }

    /// The role by which the chart gives the right to make an APIService. It goes with the installation, and what it owns
    /// goes with it, also where no operator is left to delete it.
    async fn owner(&self) -> Result<Option<OwnerReference>, kube::Error> {
        let Some(name) = &self.role else { return Ok(None) };
        let role = Api::<ClusterRole>::all(self.client.clone()).get_metadata(name).await?;
        Ok(Some(OwnerReference {
            api_version: ClusterRole::API_VERSION.into(),
            kind: ClusterRole::KIND.into(),
            name: name.clone(),
            uid: role.metadata.uid.unwrap_or_default(),
            ..Default::default()
        }))
    }

    /// Deletes the APIService, if it leads to us.
    async fn withdraw(&self) {
        let Some(Some(api_service)) = &self.api_service else { return };
        if leads_to(api_service).as_ref() != Some(&self.service) {
            return;
        }
        // Only the one that was seen: another operator may have made one since.
        let ObjectMeta { uid, resource_version, .. } = api_service.metadata.clone();
        let params = DeleteParams::default().preconditions(Preconditions { uid, resource_version });
        let name = api_service_name();
        match timeout(WITHDRAWAL, self.api().delete(&name, &params)).await {
            Ok(Ok(_)) => info!("The API server asks this operator for no more external metrics"),
            Ok(Err(error)) => warn!(%error, "The APIService of external metrics is left behind"),
            Err(_) => warn!("The APIService of external metrics is left behind: the API server did not answer"),
        }
    }

    fn api(&self) -> Api<APIService> {
        Api::all(self.client.clone())
    }
}

/// The Service that an APIService leads to, if it leads to one.
fn leads_to(api_service: &APIService) -> Option<ServiceName> {
    let service = api_service.spec.as_ref()?.service.clone()?;
    Some(ServiceName {
        namespace: service.namespace.unwrap_or_default(),
        name: service.name.unwrap_or_default(),
        port: service.port.and_then(|port| port.try_into().ok()).unwrap_or(HTTPS),
    })
}

fn api_service_name() -> String {
    format!("{VERSION}.{GROUP}")
}
