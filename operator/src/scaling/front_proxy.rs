//! Who may ask for external metrics: the API server's front proxy alone.
//!
//! The API server authenticates and authorizes the caller that wants a metric, and then asks in its own name, with a client
//! certificate. A handshake without that certificate fails, so that no request of another reaches the routes.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Certificate;

/// The front proxy as the API server publishes it in the ConfigMap `extension-apiserver-authentication`.
#[derive(Clone, Debug)]
pub(super) struct FrontProxy {
    roots: Arc<RootCertStore>,
    /// Common names of its certificates; empty for any.
    names: BTreeSet<String>,
}

/// Why no caller can be let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrontProxyError {
    #[error("the API server has no front proxy: it runs without --requestheader-client-ca-file")]
    Missing,
    #[error("requestheader-client-ca-file is no PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("requestheader-client-ca-file holds no authority that can be used")]
    Roots(#[from] Error),
    #[error("requestheader-allowed-names is no list")]
    Names(#[from] serde_json::Error),
    #[error("the front proxy's certificates can't be checked")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl FrontProxy {
    /// Reads the ConfigMap.
    pub(super) fn of(config: &ConfigMap) -> Result<Self, FrontProxyError> {
        let field = |name| config.data.as_ref().and_then(|data| data.get(name));
        let authority = field("requestheader-client-ca-file").ok_or(FrontProxyError::Missing)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        if roots.is_empty() {
            return Err(FrontProxyError::Missing);
        }
        let names =
            field("requestheader-allowed-names").map_or(Ok(BTreeSet::new()), |names| serde_json::from_str(names))?;
        Ok(Self { roots: Arc::new(roots), names })
    }

    /// A server that shows the certificate, and talks to the front proxy only.
    pub(super) fn server(&self, certificate: &Certificate) -> Result<ServerConfig, FrontProxyError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier { inner: self.verifier(&provider)?, names: self.names.clone() };
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(vec![certificate.der.clone()], certificate.key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, FrontProxyError> {
        Ok(WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone()).build()?)
    }
}

/// The certificate is of the front proxy's authority, and in one of its names. The name matters: some clusters have one
/// authority for the front proxy and for every user.
#[derive(Debug)]
struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    names: BTreeSet<String>,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let is_allowed =
            self.names.is_empty() || common_name(end_entity).is_some_and(|name| self.names.contains(&name));
        if is_allowed { Ok(verified) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    names.next()?.as_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use serde_json::json;

    /// An authority as PEM, and a certificate that it signed for that common name.
    fn signed(common_name: &str) -> (String, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (pem(authority.der()), client.der().clone())
    }

    fn pem(der: &CertificateDer<'_>) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    fn front_proxy(authority: &str, names: &str) -> Result<FrontProxy, FrontProxyError> {
        let data = json!({"requestheader-client-ca-file": authority, "requestheader-allowed-names": names});
        FrontProxy::of(&serde_json::from_value(json!({"metadata": {}, "data": data})).unwrap())
    }

    fn lets_in(proxy: &FrontProxy, certificate: &CertificateDer<'_>) -> bool {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier { inner: proxy.verifier(&provider).unwrap(), names: proxy.names.clone() };
        assert!(verifier.client_auth_mandatory());
        verifier.verify_client_cert(certificate, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn only_the_front_proxys_name_of_the_front_proxys_authority_is_let_in() {
        let (authority, certificate) = signed("front-proxy-client");
        assert!(lets_in(&front_proxy(&authority, "[\"front-proxy-client\"]").unwrap(), &certificate));
        assert!(lets_in(&front_proxy(&authority, "[]").unwrap(), &certificate), "no names mean any name");
        assert!(!lets_in(&front_proxy(&authority, "[\"another\"]").unwrap(), &certificate));
        let (other, _) = signed("front-proxy-client");
        assert!(!lets_in(&front_proxy(&other, "[]").unwrap(), &certificate));
    }

    #[test]
    fn without_a_front_proxy_in_the_cluster_no_caller_is_let_in() {
        let empty: ConfigMap = serde_json::from_value(json!({"metadata": {}, "data": {}})).unwrap();
        assert!(matches!(FrontProxy::of(&empty), Err(FrontProxyError::Missing)));
        assert!(matches!(front_proxy("", "[]"), Err(FrontProxyError::Missing)));
        assert!(front_proxy(&signed("x").0, "not a list").is_err());
    }
}
