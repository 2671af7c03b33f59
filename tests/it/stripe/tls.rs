//! A server that shows a certificate which nobody vouches for: it never hears the key.
//!
//! In: a self-signed certificate for this machine, made for this test alone (`tests/data/tls`). Out: what the client says, and all that the server heard once
//! the handshake was over.

use std::sync::{Arc, Mutex};

use billrecon::stripe::{Limits, Stripe, StripeError, Target};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_ends_the_connection_before_the_key_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_base = format!("https://{}/", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let server = tokio::spawn(serve(listener, heard.clone()));
    let target = Target { api_base, api_key: "sk_test_n0b0dyv0uches".to_owned().into() };
    let first_wait = std::time::Duration::ZERO;
    let stripe = Stripe::with_limits(target, Limits { first_wait, ..Limits::default() }).unwrap();
    let error = stripe.account().await.unwrap_err();
    assert!(matches!(error, StripeError::Unavailable { status: None, .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(!error.to_string().contains("n0b0dyv0uches"), "{error}");
    server.abort();
    let heard = heard.lock().unwrap();
    assert!(!heard.is_empty() && heard.iter().all(Vec::is_empty), "{heard:?}");
}

/// Keeps what each client says when the handshake is over, if it ever is.
async fn serve(listener: TcpListener, heard: Arc<Mutex<Vec<Vec<u8>>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut said = Vec::new();
        if let Ok(mut stream) = acceptor().accept(stream).await {
            // The end of the connection is all that is waited for.
            let _ended = stream.read_to_end(&mut said).await;
        }
        heard.lock().unwrap().push(said);
    }
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from(&include_bytes!("../../data/tls/certificate.der")[..]);
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("../../data/tls/key.der")[..]);
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
