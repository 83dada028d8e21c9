//! The certificate of the external metrics API.
//!
//! It is made at the start and lives in this process alone: nothing is stored, so there is no Secret to read, to leak or
//! to renew by hand. The API server trusts it because the operator writes it into its own APIService.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::ToSpan as _;
use k8s_openapi::jiff::tz::TimeZone;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Days that a certificate is valid.
const VALID_DAYS: i64 = 30;

/// Days after which another takes its place: two thirds of its life.
pub(super) const ROTATE_DAYS: u64 = 20;

const END: &str = "-----END CERTIFICATE-----";

/// Certificates in a bundle: two of each of five operators. One that another pushed out is written again by its owner.
const MOST: usize = 10;

/// A self-signed certificate with its key.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// The certificate.
    pub(super) der: CertificateDer<'static>,
    key: Arc<Vec<u8>>,
}

/// The certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("could not make a certificate for {name}")]
pub(super) struct CertificateError {
    name: String,
    source: rcgen::Error,
}

impl Certificate {
    /// Makes a certificate for a DNS name, valid from the day before `now`, since clocks differ.
    pub(super) fn new(name: &str, now: Timestamp) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError { name: name.to_owned(), source };
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.not_before = date(now, -1);
        params.not_after = date(now, VALID_DAYS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { der: certificate.der().clone(), key: Arc::new(key.serialize_der()) })
    }

    /// The private key, for the server.
    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }

    /// The certificate as PEM, which an APIService holds.
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n{END}\n", lines.join("\n"))
    }
}

/// The bundle that the API server is to trust: what it trusts already, which may be of other operators, and ours. `None`
/// when ours are all in it.
pub(super) fn bundle(known: &str, own: &[Certificate]) -> Option<String> {
    let own: Vec<_> = own.iter().map(Certificate::pem).collect();
    if own.iter().all(|pem| known.contains(pem.as_str())) {
        return None;
    }
    let known = known.split_inclusive(END).map(str::trim_start).filter(|pem| pem.ends_with(END));
    let others: Vec<_> = known.map(|pem| format!("{pem}\n")).filter(|pem| !own.contains(pem)).collect();
    let newest = others.len().saturating_sub(MOST.saturating_sub(own.len()));
    Some(others.into_iter().skip(newest).chain(own).collect())
}

fn date(now: Timestamp, days: i64) -> time::OffsetDateTime {
    let day = now.to_zoned(TimeZone::UTC).date().saturating_add(days.days());
    date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Certificate {
        Certificate::new("operator.namespace.svc", Timestamp::now()).unwrap()
    }

    #[test]
    fn a_bundle_keeps_what_other_operators_wrote_and_has_an_end() {
        let mut known = bundle("", &[certificate()]).unwrap();
        for count in 2..=MOST + 3 {
            let own = certificate();
            let next = bundle(&known, std::slice::from_ref(&own)).unwrap();
            assert!(next.ends_with(&own.pem()));
            assert_eq!(next.matches(END).count(), count.min(MOST));
            if count <= MOST {
                assert!(next.starts_with(&known));
            }
            known = next;
        }
    }

    #[test]
    fn a_bundle_that_holds_ours_is_not_written_again() {
        let (own, other) = ([certificate(), certificate()], certificate());
        let known = bundle(&other.pem(), &own).unwrap();
        assert_eq!(bundle(&known, &own), None);
        assert_eq!(bundle(&known, &own[1..]), None);
    }

    #[test]
    fn what_is_no_certificate_is_not_kept() {
        let own = certificate();
        assert_eq!(bundle("hello", std::slice::from_ref(&own)), Some(own.pem()));
    }
}
