//! The connection to the cluster under test, and raw requests where the typed ones hide something.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, Method, Request, header};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client, Config};
use serde_json::Value;

/// A request that takes longer is as good as lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The cluster, and the folders of this machine that belong to it.
#[derive(Clone)]
pub struct Cluster {
    /// Connection to the API server, as an administrator.
    pub client: Client,
    /// Folder of the cluster's state: audit log, volumes.
    pub state: PathBuf,
    /// A model's folder that no test changes.
    pub model_dir: PathBuf,
}

/// What was answered, whatever the status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, as text.
    pub body: String,
}

impl Cluster {
    /// Connects to what the environment names.
    pub async fn connect() -> Result<Self> {
        setting("KUBECONFIG")?;
        let state = PathBuf::from(setting("BELFRY_STATE")?);
        let model_dir = PathBuf::from(setting("BELFRY_MODEL_DIR")?);
        let mut config = Config::infer().await.context("KUBECONFIG can't be read: run make e2e")?;
        // A retry would hide a 503 that a test asks for, and doubles the time of one that it does not.
        config.default_retry = false;
        config.connect_timeout = Some(REQUEST_TIMEOUT);
        config.read_timeout = Some(REQUEST_TIMEOUT);
        config.reset_reader_on_write = true;
        let client = Client::try_from(config).context("KUBECONFIG can't be used")?;
        Ok(Self { client, state, model_dir })
    }

    /// Sends a request to the API server, or through its proxy.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer> {
        let what = format!("{} {}", request.method(), request.uri());
        let exchange = async {
            let response = self.client.send(request.map(Body::from)).await?;
            let (head, body) = response.into_parts();
            let body = body.collect_bytes().await?;
            let body = String::from_utf8_lossy(&body).into_owned();
            anyhow::Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await;
        answer.with_context(|| format!("{what}: no answer within {} s", REQUEST_TIMEOUT.as_secs()))?.context(what)
    }

    /// `GET`, whatever the status.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Request::get(path).body(vec![])?).await
    }

    /// `POST` of JSON, whatever the status.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.post_bytes(path, body.to_string().into_bytes()).await
    }

    /// `POST` of bytes that are said to be JSON, whatever the status.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Result<Answer> {
        let request = Request::builder().method(Method::POST).uri(path);
        self.send(request.header(header::CONTENT_TYPE, "application/json").body(body)?).await
    }

    /// Address under which pods reach this machine.
    pub async fn node_address(&self) -> Result<String> {
        let nodes = Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await?;
        let status = nodes.items.into_iter().find_map(|node| node.status).context("the cluster has no node")?;
        let mut addresses = status.addresses.into_iter().flatten();
        let internal = addresses.find(|address| address.type_ == "InternalIP");
        Ok(internal.context("the node has no InternalIP")?.address)
    }
}

impl Answer {
    /// The answer, if it is a success.
    pub fn ok(self) -> Result<Self> {
        ensure!((200..300).contains(&self.status), "status {}: {}", self.status, self.body);
        Ok(self)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("status {}, not JSON: {:?}", self.status, self.body))
    }
}

/// Path of a Service behind the API server's proxy; the path within the Service follows.
pub fn service(namespace: &str, name: &str, port: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services/http:{name}:{port}/proxy")
}

fn setting(name: &str) -> Result<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.with_context(|| format!("{name} is not set: run make e2e, which starts a cluster and sets it"))
}
