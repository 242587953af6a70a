use super::*;
use crate::hub::progress::Quiet;

fn options(endpoint: &str) -> HubOptions {
    let var = |name: &str| match name {
        "HOME" => Some("/nowhere".to_string()),
        "HF_ENDPOINT" => Some(endpoint.to_string()),
        _ => None,
    };
    HubOptions::from_vars(var).unwrap()
}

#[test]
fn redirects_lead_to_web_addresses_only_and_never_out_of_tls() {
    let options = options("https://hub.example");
    let http = Http::new(&options, &Quiet).unwrap();
    let follow = |from: &str, to: &str| {
        let headers = HeaderMap::from_iter([(header::LOCATION, to.parse().unwrap())]);
        http.follow(&from.parse().unwrap(), &headers)
    };
    let from = "https://hub.example/a/b";
    assert_eq!(
        follow(from, "/c").unwrap().as_str(),
        "https://hub.example/c"
    );
    assert!(follow(from, "https://cdn.example/x?Signature=1").is_ok());
    for to in [
        "http://hub.example/c",
        "file:///etc/passwd",
        "//[",
        "ftp://x/y",
    ] {
        let message = follow(from, to).unwrap_err().to_string();
        assert!(message.contains("redirect"), "{to}: {message}");
    }
}

#[test]
fn the_endpoint_is_scheme_host_and_port() {
    let options = options("https://hub.example/mirror");
    let http = Http::new(&options, &Quiet).unwrap();
    for (url, is) in [
        ("https://hub.example/x", true),
        ("https://hub.example:443/x", true),
        ("http://hub.example/x", false),
        ("https://hub.example:8443/x", false),
        ("https://hub.example.evil/x", false),
    ] {
        assert_eq!(http.is_endpoint(&url.parse().unwrap()), is, "{url}");
    }
    let url = http.url(["a", "b c", "x/y"]).unwrap();
    assert_eq!(url.as_str(), "https://hub.example/mirror/a/b%20c/x%2Fy");
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
    assert_eq!(retry_after("soon"), None);
    assert_eq!(
        retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
        Some(Duration::ZERO)
    );
    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(90);
    let wait = retry_after(&later.to_rfc2822()).unwrap();
    assert!((88..=90).contains(&wait.as_secs()), "{wait:?}");
}
