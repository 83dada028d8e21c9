//! The certificate authorities that a hub or a bucket is trusted by.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use belfry_crds::contract::load_failure::LoadFailureReason as Reason;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use crate::args::Source;
use crate::failure::{Result, failure};

impl Source {
    /// The authorities of `--ca-file`, or else of `SSL_CERT_FILE` and `SSL_CERT_DIR` as OpenSSL reads them, or else the public ones.
    pub(super) fn roots(&self) -> Result<RootCerts> {
        let of_env = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (file, folder) = match &self.ca_file {
            Some(file) => (Some(file.clone()), None),
            None => (of_env("SSL_CERT_FILE"), of_env("SSL_CERT_DIR")),
        };
        roots(file.as_deref(), folder.as_deref())
    }
}

fn roots(file: Option<&Path>, folder: Option<&Path>) -> Result<RootCerts> {
    let mut certificates = Vec::new();
    if let Some(file) = file {
        certificates.extend(read(file)?);
        if certificates.is_empty() {
            return Err(unusable(file, "it holds no certificate in PEM"));
        }
    }
    if let Some(folder) = folder {
        let entries = fs::read_dir(folder).map_err(|error| unusable(folder, &error.to_string()))?;
        // Such folders also hold keys, lists and links of other kinds.
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            certificates.extend(read(&path).unwrap_or_default());
        }
    }
    match (file, folder) {
        (None, None) => Ok(RootCerts::WebPki),
        (_, Some(folder)) if certificates.is_empty() => Err(unusable(folder, "it holds no certificate in PEM")),
        _ => Ok(RootCerts::from(certificates)),
    }
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let bytes = fs::read(path).map_err(|error| unusable(path, &error.to_string()))?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(unusable(path, &format!("{error}")))),
    };
    parse_pem(&bytes).filter_map(certificate).collect()
}

fn unusable(path: &Path, why: &str) -> belfry_crds::contract::load_failure::LoadFailure {
    let message = format!("{}: {why}; name a file of certificates in PEM", path.display());
    failure(Reason::FileCorrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_by_its_name() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("ca.pem");
        for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            fs::write(&file, content).unwrap();
            let failure = roots(Some(&file), None).err().unwrap();
            assert!(failure.message.contains("ca.pem"), "{}", failure.message);
        }
        assert!(roots(Some(&folder.path().join("missing")), None).is_err());
        assert!(roots(None, Some(folder.path())).is_err());
        assert!(matches!(roots(None, None), Ok(RootCerts::WebPki)));
    }
}
