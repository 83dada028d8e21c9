//! The address of a worker, as people write it.

use anyhow::{Context, bail};
use belfry_crds::contract::PORT;

/// Host and port of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name, or an IP address; of IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `host`, `host:port`, or either behind `http://` or `ws://`.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("http" | "ws", rest)) => rest,
            Some(("https" | "wss", _)) => {
                bail!(
                    "{text}: belfry top speaks no TLS; run `kubectl port-forward` to a pod of the model, and watch localhost"
                )
            }
            Some((scheme, _)) => bail!("{text}: {scheme} is no scheme of a worker; write host:port"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(letter) =
            rest.chars().find(|letter| "/?#@".contains(*letter) || letter.is_whitespace() || letter.is_control())
        {
            bail!("{text:?}: an address has no {letter:?}; write host:port");
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(inside) => {
                let (host, port) =
                    inside.split_once(']').with_context(|| format!("{text}: the bracket is not closed"))?;
                match port.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if port.is_empty() => (host, None),
                    None => bail!("{text}: write [address]:port"),
                }
            }
            // More than one colon: an IPv6 address without brackets, which has no port.
            None if rest.matches(':').count() > 1 => (rest, None),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            bail!("{text:?}: the host is missing; write host:port");
        }
        let port = match port {
            None => PORT,
            Some(port) => match port.parse() {
                Ok(port @ 1..) => port,
                _ => bail!("{text}: {port:?} is no port; write a number from 1 to 65535"),
            },
        };
        Ok(Self { host: host.to_owned(), port })
    }

    /// As it stands in a URL and in a message.
    pub(super) fn label(&self) -> String {
        let Self { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, label) in [
            ("localhost:8080", "localhost:8080"),
            ("minilm", "minilm:8080"),
            ("http://minilm.ml.svc:80/", "minilm.ml.svc:80"),
            ("ws://10.0.0.3:9000", "10.0.0.3:9000"),
            ("[::1]:8081", "[::1]:8081"),
            ("[fe80::1]", "[fe80::1]:8080"),
            ("::1", "[::1]:8080"),
        ] {
            assert_eq!(Address::read(text).unwrap().label(), label, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (text, says) in [
            ("", "the host is missing"),
            (":8080", "the host is missing"),
            ("host:", "is no port"),
            ("host:http", "is no port"),
            ("host:0", "is no port"),
            ("host:65536", "is no port"),
            ("https://host", "kubectl port-forward"),
            ("ftp://host", "ftp is no scheme"),
            ("host/path", "has no '/'"),
            ("user@host", "has no '@'"),
            ("a b", "has no ' '"),
            ("[::1", "is not closed"),
            ("[::1]8080", "[address]:port"),
        ] {
            let error = Address::read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
