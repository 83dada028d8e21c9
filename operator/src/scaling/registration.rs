//! The operator's place in the API server: the APIService that leads to it, and the front proxy that comes from there.
//!
//! While an APIService leads to a Service without a server, Kubernetes can't finish the deletion of any namespace. So the
//! chart makes one that leads nowhere, which harms nothing. An operator that serves lets it lead to its Service, and one
//! that ends takes that back. Where two serve, the other one at once lets it lead there again.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::api::{GROUP, VERSION};
use super::certificate::{Certificate, CertificateError, ROTATE_DAYS, bundle};
use super::front_proxy::FrontProxy;
use super::listener::Identity;
use super::options::HTTPS;
use super::{Scaling, ServiceName};
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
        service: ServiceName,
        identity: Identity,
    ) -> Result<Self, CertificateError> {
        let certificates = vec![Certificate::new(&service.dns_name(), Timestamp::now())?];
        Ok(Self {
            scaling,
            client,
            service,
            identity,
            certificates,
            front_proxy: None,
            api_service: None,
            has_looked: false,
        })
    }

    /// Runs until it is to end. The APIService then leads nowhere.
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
        let unavailable = self.unavailable(api_service.as_ref());
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
        if let (None, Some(api_service), true) = (&unavailable, api_service, serves) {
            failed = !self.publish(api_service).await;
        }
        self.scaling.set_unavailable(unavailable);
        failed
    }

    /// Why no HorizontalPodAutoscaler can reach the operator, if so.
    fn unavailable(&self, api_service: Option<&APIService>) -> Option<String> {
        let name = api_service_name();
        if self.front_proxy.is_none() {
            return Some("the API server has no front proxy: set its --requestheader-client-ca-file".into());
        }
        let Some(found) = api_service else {
            return Some(format!("there is no APIService {name}: install the chart with externalMetrics.enabled=true"));
        };
        let owner = leads_to(found)?;
        (owner != self.service).then(|| {
            format!(
                "the APIService {name} leads to {owner}: use provider KEDA if that is KEDA, or uninstall that adapter"
            )
        })
    }

    /// Lets the APIService lead to our Service, and adds our certificates to those that the API server trusts. Returns
    /// whether both is so.
    async fn publish(&self, api_service: &APIService) -> bool {
        let known = api_service.spec.as_ref().and_then(|spec| spec.ca_bundle.clone()).unwrap_or_default();
        let next = bundle(&String::from_utf8_lossy(&known.0), &self.certificates);
        let bundle = match next {
            Some(next) => ByteString(next.into_bytes()),
            None if leads_to(api_service).is_some() => return true,
            None => known,
        };
        let ServiceName { namespace, name, port } = &self.service;
        let spec = json!({"service": {"namespace": namespace, "name": name, "port": port}, "caBundle": bundle});
        match self.write(api_service, spec).await {
            Ok(()) => {
                info!("The API server asks this operator for external metrics, and trusts its certificate");
                true
            }
            Err(error) => {
                warn!(%error, "Could not write the certificate into the APIService of external metrics; it is tried again");
                false
            }
        }
    }

    /// Lets the APIService lead nowhere, if it leads to us.
    async fn withdraw(&self) {
        let Some(Some(api_service)) = &self.api_service else { return };
        if leads_to(api_service).as_ref() != Some(&self.service) {
            return;
        }
        let write = timeout(WITHDRAWAL, self.write(api_service, json!({"service": null, "caBundle": null}))).await;
        match write.map_err(|_| "the API server did not answer in time".to_owned()) {
            Ok(Ok(())) => info!("The API server asks this operator for no more external metrics"),
            Ok(Err(error)) => warn!(%error, "The APIService of external metrics still leads to this operator"),
            Err(error) => warn!(error, "The APIService of external metrics still leads to this operator"),
        }
    }

    /// With the version that was read, so that of two operators neither undoes what the other wrote.
    async fn write(&self, api_service: &APIService, spec: Value) -> Result<(), kube::Error> {
        let api = Api::<APIService>::all(self.client.clone());
        let version = &api_service.metadata.resource_version;
        let body = json!({"metadata": {"resourceVersion": version}, "spec": spec});
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..Default::default() };
        api.patch(&api_service_name(), &params, &Patch::Merge(body)).await.map(drop)
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
