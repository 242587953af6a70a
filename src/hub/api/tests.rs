use super::*;

fn entry(json: &str) -> Option<RemoteFile> {
    serde_json::from_str::<Entry>(json).ok()?.file()
}

#[test]
fn the_hash_of_large_files_is_sha256_and_of_small_ones_gits() {
    let sha256 = "a".repeat(64);
    let git = "b".repeat(40);
    let large = entry(&format!(
        r#"{{"type":"file","path":"m.gguf","size":9,"oid":"{git}","lfs":{{"oid":"{sha256}","size":9,"pointerSize":3}},"xetHash":"x"}}"#
    ));
    assert_eq!(large.unwrap().hash, Hash::Sha256(sha256));
    let small = entry(&format!(
        r#"{{"type":"file","path":"config.json","size":3,"oid":"{git}"}}"#
    ));
    assert_eq!(small.unwrap().hash, Hash::Git(git));
}

#[test]
fn hostile_entries_are_left_out() {
    let git = "b".repeat(40);
    for path in [
        "../x",
        "/etc/x",
        "a/../../x",
        "a\\\\x",
        "x\\u0000",
        "",
        "a//b",
    ] {
        assert_eq!(
            entry(&format!(
                r#"{{"type":"file","path":"{path}","size":3,"oid":"{git}"}}"#
            )),
            None,
            "{path}"
        );
    }
    assert_eq!(
        entry(r#"{"type":"file","path":"x","size":3,"oid":"../../../x"}"#),
        None
    );
    assert_eq!(
        entry(&format!(
            r#"{{"type":"directory","path":"x","size":3,"oid":"{git}"}}"#
        )),
        None
    );
}

#[test]
fn the_next_page_is_read_from_the_link() {
    assert_eq!(
        next_page("<https://h/x?cursor=1>; rel=\"next\""),
        Some("https://h/x?cursor=1")
    );
    assert_eq!(
        next_page("<https://h/x>; rel=\"prev\", </y>; rel=\"next\""),
        Some("/y")
    );
    assert_eq!(next_page("nonsense"), None);
}
