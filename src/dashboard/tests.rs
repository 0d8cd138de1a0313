use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

async fn ask(path: &str, tag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    if let Some(tag) = tag {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    let response = router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, headers, String::from_utf8_lossy(&body).into_owned())
}

fn sources() -> impl Iterator<Item = (String, String)> {
    Ui::iter().map(|path| {
        let text = String::from_utf8(Ui::get(&path).unwrap().data.into_owned()).unwrap();
        (path.into_owned(), text)
    })
}

#[tokio::test]
async fn every_file_has_its_type_and_is_sent_once() {
    for (path, media) in [
        ("/", "text/html; charset=utf-8"),
        ("/ui/js/main.js", "text/javascript; charset=utf-8"),
        ("/ui/css/base.css", "text/css; charset=utf-8"),
        ("/ui/icon.svg", "image/svg+xml"),
    ] {
        let (status, headers, body) = ask(path, None).await;
        assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, media), "{path}");
        assert!(!body.is_empty());
        let tag = headers[header::ETAG].to_str().unwrap();
        let (status, _, body) = ask(path, Some(&format!("\"other\", W/{tag}"))).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    for path in ["/ui/js/none.js", "/ui/vendor/none.js", "/ui/../Cargo.toml", "/ui/%2e%2e/mod.rs"] {
        let (status, headers, _) = ask(path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
    }
}

#[test]
fn every_file_that_a_file_names_is_there() {
    for (path, text) in sources() {
        let relative = |name: &&str| (name.starts_with("./") || name.starts_with("../")) && name.ends_with(".js");
        for name in text.split('"').filter(relative) {
            let mut folder = path.split('/').collect::<Vec<_>>();
            folder.pop();
            for part in name.split('/') {
                match part {
                    "." => {}
                    ".." => drop(folder.pop()),
                    _ => folder.push(part),
                }
            }
            let file = folder.join("/");
            // The chart library is there only where set-up has fetched it.
            assert!(file.starts_with(CHARTS) || Ui::get(&file).is_some(), "{path} imports {name}");
        }
        for name in text.split('"').filter_map(|name| name.strip_prefix("/ui/")) {
            assert!(name.starts_with(CHARTS) || Ui::get(name).is_some(), "{path} names /ui/{name}");
        }
    }
}

#[test]
fn text_never_becomes_markup_and_nothing_is_inline() {
    for (path, text) in sources() {
        for danger in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "style=\"",
            "onclick=\"",
            "http://",
            "https://",
        ] {
            let allowed = danger == "http://" && path.ends_with(".svg") || path == "js/spark.js";
            assert!(allowed || !text.contains(danger), "{path} contains {danger}");
        }
        assert!(text.lines().count() <= 400, "{path} is two things");
        assert!(!path.ends_with(".js") || text.starts_with("// @ts-check"), "{path} is not checked");
    }
}
