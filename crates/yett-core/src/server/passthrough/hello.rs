//! The first message of TLS, read without taking part: which name does the client ask for?

use rustls::server::Acceptor;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::End;

/// Bytes of a client hello with its records; post-quantum key shares need about 1.5 KiB.
const MAX_HELLO: usize = 16 * 1024;
/// Bytes that are read at once.
const BLOCK: usize = 2048;

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// Everything read so far: the whole hello, and what came with it.
    pub(super) bytes: Vec<u8>,
    /// The name in it, lower case. With encrypted client hello it is the outer one.
    pub(super) name: Box<str>,
}

/// Reads a whole client hello, in however many records and segments it comes.
///
/// # Errors
/// What came is no TLS, is too long, or names no host; the client went away.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Hello, End> {
    let mut reader = Reader::default();
    let mut block = [0; BLOCK];
    loop {
        let count = stream.read(&mut block).await.map_err(|_| End::ClientClosed)?;
        let Some(read) = block.get(..count).filter(|read| !read.is_empty()) else { return Err(End::ClientClosed) };
        if let Some(hello) = reader.take(read)? {
            return Ok(hello);
        }
    }
}

#[derive(Default)]
struct Reader {
    acceptor: Acceptor,
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes what came; the hello once it is whole.
    fn take(&mut self, read: &[u8]) -> Result<Option<Hello>, End> {
        if self.bytes.len().saturating_add(read.len()) > MAX_HELLO {
            return Err(End::HelloTooLong);
        }
        self.bytes.extend_from_slice(read);
        let mut rest = read;
        while !rest.is_empty() {
            match self.acceptor.read_tls(&mut rest) {
                Ok(0) | Err(_) => return Err(End::NotTls),
                Ok(_) => {}
            }
            // Its alert is dropped: what a client without TLS would make of it is not ours to say.
            let accepted = self.acceptor.accept().map_err(|_| End::NotTls)?;
            if let Some(accepted) = accepted {
                let name = accepted.client_hello().server_name().map(str::to_ascii_lowercase).ok_or(End::NoName)?;
                return Ok(Some(Hello { bytes: std::mem::take(&mut self.bytes), name: name.into() }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn hello(name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut out = Vec::new();
        client.write_tls(&mut out).unwrap();
        out
    }

    fn feed(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Option<Hello>, End> {
        let mut reader = Reader::default();
        for piece in pieces {
            if let Some(hello) = reader.take(&piece)? {
                return Ok(Some(hello));
            }
        }
        Ok(None)
    }

    #[test]
    fn in_however_many_segments_and_records() {
        let whole = hello("DB.example.com");
        let expected = Hello { bytes: whole.clone(), name: "db.example.com".into() };
        for size in [1, 2, 7, 100, whole.len()] {
            assert_eq!(feed(whole.chunks(size).map(<[u8]>::to_vec)).unwrap().unwrap(), expected, "{size}");
        }
        // The same message over records of ten bytes each.
        let records: Vec<u8> = whole[5..]
            .chunks(10)
            .flat_map(|part| {
                let length = u16::try_from(part.len()).unwrap().to_be_bytes();
                [&[22, 3, 1], &length[..], part].concat()
            })
            .collect();
        let found = feed(records.chunks(3).map(<[u8]>::to_vec)).unwrap().unwrap();
        assert_eq!(&*found.name, "db.example.com");
        assert!(records.starts_with(&found.bytes));
    }

    #[test]
    fn what_is_no_hello_is_refused() {
        assert_eq!(feed([b"GET / HTTP/1.1\r\n\r\n".to_vec()].into_iter()), Err(End::NotTls));
        assert_eq!(feed([hello("192.0.2.1")].into_iter()), Err(End::NoName));
        // A message that says that it is long, and keeps coming.
        let long = std::iter::once(vec![22, 3, 1, 64, 0, 1, 0, 255, 0]).chain(std::iter::repeat_n(vec![0; 1000], 40));
        assert!(matches!(feed(long), Err(End::HelloTooLong | End::NotTls)));
        assert_eq!(feed(std::iter::once(hello("a.test")[..50].to_vec())), Ok(None));
    }
}
