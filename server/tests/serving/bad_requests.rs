//! Requests that make no sense: each gets the right status and a reason, and the server lives on.

use std::fs;

use crate::support::{Client, Request, Running, array, data, inputs, norm, options, start};

/// A server with low limits.
fn server() -> Running {
    let mut options = options();
    options.limits.records = 4;
    options.limits.samples = 6000;
    options.limits.body_bytes = 2 << 20;
    start(options)
}

/// JSON for /api/predict, the status, and a part of the reason.
fn texts() -> Vec<(String, u16, &'static str)> {
    let good = array(&norm(1, 100.0));
    let flat = |value: &str| format!("[{}]", [value; 12].join(","));
    let row = |value: &str, count: usize| format!("[{}]", vec![value; count].join(","));
    let with = |more: &str| format!("{{\"inputs\": {good}, {more}}}");
    let of = |inputs: &str| format!("{{\"inputs\": {inputs}}}");
    // The place of a number in the middle of the array.
    let place = |number: &str| {
        let mut rows = vec![row("0.5", 1000); 12];
        rows[3] = format!("[{}{number}{}]", "0.5,".repeat(117), ",0.5".repeat(882));
        of(&format!("[[{}]]", rows.join(",")))
    };
    vec![
        (String::new(), 400, "the body is empty"),
        (" ".into(), 400, "expected an object"),
        ("nonsense".into(), 400, "expected an object"),
        ("null".into(), 400, "expected an object"),
        ("true".into(), 400, "expected an object"),
        ("12".into(), 400, "expected an object"),
        ("\"inputs\"".into(), 400, "expected an object"),
        ("[]".into(), 400, "expected an object"),
        (good.clone(), 400, "expected an object"),
        ("{".into(), 400, "the name of a field"),
        ("{}".into(), 422, "there are no inputs"),
        ("{\"inputs\"}".into(), 400, "colon"),
        ("{\"inputs\":}".into(), 422, "inputs is no array"),
        ("{'inputs': [[1]]}".into(), 400, "the name of a field"),
        ("{\"inputs\": [[1]]".into(), 400, "end of the object"),
        ("{\"inputs\": [[1".into(), 400, "comma or a bracket"),
        ("{\"inputs\": [[".into(), 400, "ends within the array"),
        ("{\"inputs\": [[1],".into(), 400, "ends within the array"),
        ("{\"inp\\uZZZZ\": 1}".into(), 400, "no JSON"),
        ("{\"inputs\": [[1]]} trailing".into(), 400, "more after the object"),
        (format!("{}{}", of(&good), of(&good)), 400, "more after the object"),
        (format!("\u{feff}{}", of(&good)), 400, "expected an object"),
        (of("null"), 422, "inputs is no array"),
        (of("7"), 422, "inputs is no array"),
        (of("\"AAAA\""), 422, "inputs is no array"),
        (of("{}"), 422, "inputs is no array"),
        (of("[]"), 422, "depth 1"),
        (of("[1,2,3]"), 422, "depth 1"),
        (of("[[]]"), 422, "inputs[0] is empty"),
        (of("[[[]]]"), 422, "inputs[0][0] is empty"),
        (of(&"[".repeat(100_000)), 422, "depth 4"),
        (of(&format!("[[{}", "[".repeat(100_000))), 422, "depth 4"),
        (of(&format!("[[[1],[{}", "[".repeat(100_000))), 422, "inputs[0][1][0] is an array"),
        (of(&format!("{}1{}", "[".repeat(50), "]".repeat(50))), 422, "depth 4"),
        (of("[[[[1]]]]"), 422, "depth 4"),
        (of("[[1],[1,2]]"), 422, "inputs[1] has 2 numbers"),
        (of("[[1,2],[1]]"), 422, "inputs[1] has 1 numbers"),
        (of("[[[1],[1]],[[1]]]"), 422, "inputs[1] has 1 rows"),
        (of("[[1],2]"), 422, "inputs[1] is a number"),
        (of("[[1],null]"), 422, "inputs[1] is null"),
        (of("[[1],\"a\"]"), 422, "inputs[1] is text"),
        (of("[[1],{}]"), 422, "inputs[1] is an object"),
        (of("[[1] [2]]"), 400, "comma or a bracket"),
        (of("[[1,,2]]"), 400, "expected a number"),
        (of("[[,1]]"), 400, "expected a number"),
        (of("[[1,]]"), 400, "expected a number"),
        (of("[[1}]"), 400, "comma or a bracket"),
        (of("[[01]]"), 400, "comma or a bracket"),
        (of("[[1.]]"), 400, "expected a number"),
        (of("[[.1]]"), 400, "expected a number"),
        (of("[[+1]]"), 400, "expected a number"),
        (of("[[1e]]"), 400, "expected a number"),
        (of("[[0x10]]"), 400, "comma or a bracket"),
        (of("[[1_000]]"), 400, "comma or a bracket"),
        (of("[[1 000]]"), 400, "comma or a bracket"),
        (of("[[one]]"), 400, "expected a number"),
        (of("[[Inf]]"), 400, "expected a number"),
        (place("NaN"), 422, "inputs[0][3][117] is not finite"),
        (place("Infinity"), 422, "inputs[0][3][117] is not finite"),
        (place("-Infinity"), 422, "inputs[0][3][117] is not finite"),
        (place("null"), 422, "inputs[0][3][117] is null"),
        (place("\"0.5\""), 422, "inputs[0][3][117] is text"),
        (place("true"), 422, "inputs[0][3][117] is true"),
        (place("[0.5]"), 422, "inputs[0][3][117] is an array"),
        (place("{\"a\": 1}"), 422, "inputs[0][3][117] is an object"),
        (place("1e400"), 422, "inputs[0][3][117] is too large"),
        (place("-1e39"), 422, "inputs[0][3][117] is too large"),
        (place(&"9".repeat(100_000)), 422, "inputs[0][3][117] is too large"),
        (place("1e99999999999999999999"), 422, "inputs[0][3][117] is too large"),
        (place("1e30"), 422, "too large for the network"),
        (of(&row("[1.5]", 12)), 422, "field sampling_rate_hz"),
        (of(&flat(&row("0.5", 50))), 422, "field sampling_rate_hz"),
        (of(&flat(&row("7", 1000))), 422, "field unit"),
        (of(&format!("[{}]", vec![row("0.5", 1000); 11].join(","))), 422, "field leads"),
        (of(&format!("[{}]", vec![row("0.5", 1000); 13].join(","))), 422, "field leads"),
        (of(&flat(&row("0.5", 6001))), 413, "more than 6000 samples"),
        (
            inputs(&[norm(1, 100.0), norm(2, 100.0), norm(3, 100.0), norm(4, 100.0), norm(5, 100.0)], ""),
            413,
            "more than 4 records",
        ),
        (with("\"inputs\": [[1]]"), 400, "twice"),
        (with("\"unit\": \"mV\", \"unit\": \"uV\""), 400, "twice"),
        (with("\"sampling_rate\": 500"), 422, "no field 'sampling_rate'"),
        (with("\"parameters\": {}"), 422, "no field 'parameters'"),
        (with("\"\": 1"), 422, "no field ''"),
        (with("\"Inputs\": 1"), 422, "no field 'Inputs'"),
        (with("\"sampling_rate_hz\": \"500\""), 422, "sampling_rate_hz is no number"),
        (with("\"sampling_rate_hz\": [500]"), 422, "sampling_rate_hz is no number"),
        (with("\"sampling_rate_hz\": true"), 422, "sampling_rate_hz is no number"),
        (with("\"sampling_rate_hz\": 0"), 422, "a sampling rate of 0 Hz"),
        (with("\"sampling_rate_hz\": -500"), 422, "a sampling rate of -500 Hz"),
        (with("\"sampling_rate_hz\": 1e400"), 400, "no JSON"),
        (with("\"sampling_rate_hz\": NaN"), 400, "no JSON"),
        (with("\"sampling_rate_hz\": 1e30"), 422, "Hz"),
        (with("\"sampling_rate_hz\": 1e-30"), 422, "Hz"),
        (with("\"sampling_rate_hz\": 2000"), 422, "lasts 0.500 s"),
        (with("\"unit\": 1"), 422, "unit is no text"),
        (with("\"unit\": \"\""), 422, "unit is no text"),
        (with("\"unit\": \"kV\""), 422, "unknown unit 'kV'"),
        (with("\"leads\": \"I\""), 422, "leads is no list"),
        (with("\"leads\": [1]"), 422, "leads is no list"),
        (with("\"leads\": []"), 422, "an empty list of leads"),
        (with("\"leads\": [\"V9\"]"), 422, "'V9' is not a lead"),
        (with("\"leads\": [\"I\"]"), 422, "none of its sides is 1"),
        (with(&format!("\"leads\": [{}\"I\"]", "\"I\",".repeat(11))), 422, "lead I is there twice"),
        (with(&format!("\"leads\": [{}\"I\"]", "\"I\",".repeat(10_000))), 413, "more than 4096 bytes"),
        (with("\"embedding\": 1"), 422, "embedding is no boolean"),
        (with("\"embedding\": \"true\""), 422, "embedding is no boolean"),
        (with("\"signals\": {}"), 422, "signals is no boolean"),
        (with("\"raw\": \"no\""), 422, "raw is no boolean"),
        (with("\"raw\": true, \"unit\": \"mV\""), 422, "leave out raw"),
        (with("\"raw\": true, \"explain\": true"), 422, "leave out raw"),
        (with("\"explain\": \"AFIB\""), 422, "name one of NORM"),
        (with("\"explain\": 5"), 422, "explain is no text"),
        (with("\"name\": 5"), 422, "name is no text"),
        (with("\"unit\": nope"), 400, "the value of unit is no JSON"),
        (with(&format!("\"unit\": {}", "[".repeat(3000))), 400, "the value of unit is no JSON"),
        (with(&format!("\"unit\": {}", "[".repeat(100_000))), 400, "the value of unit is no JSON"),
        (with("\"unit\": \"\\ud800\""), 400, "the value of unit is no JSON"),
        ("{\"raw\": true, \"inputs\": [[1,2],[3,4]]}".into(), 422, "for a network of 12 leads"),
        (
            format!("{{\"raw\": true, \"inputs\": [{}]}}", vec![row("1e20", 100); 12].join(",")),
            422,
            "inputs[0][0][0] is 1e20",
        ),
    ]
}

/// Other bodies: the request, the status, and a part of the reason.
fn bodies() -> Vec<(Request, u16, &'static str)> {
    let post = |path: &str, kind: &str, body: &[u8]| Request::post(path, kind, body);
    let file = |path: &str, body: &[u8]| Request::post(path, "application/octet-stream", body);
    let read = |name: &str| fs::read(data(name)).unwrap();
    let (array, header, table) = (read("expected.npy"), read("format16.hea"), read("table.csv"));
    let ok = inputs(&[norm(1, 100.0)], "");
    vec![
        (file("/api/predict", b""), 400, "the body is empty"),
        (file("/api/predict", b"\0\x01\x02\x03"), 415, "of no known format"),
        (post("/api/predict", "image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), 415, "of no known format"),
        (post("/api/predict", "application/pdf", b"%PDF-1.7 \xff\xfe\0"), 415, "of no known format"),
        (file("/api/predict", &array[..100]), 422, ""),
        (file("/api/predict", &array[..1000]), 422, ""),
        (file("/api/predict", &header), 422, ""),
        (file("/api/predict?name=a.hea", &header), 422, "format16.dat"),
        (file("/api/predict?name=../../../../etc/passwd", &header), 422, ""),
        (file("/api/predict?name=a.csv", b"I,II\n"), 422, ""),
        (file("/api/predict?name=a.csv", b"\xff\xfe\0"), 422, ""),
        (file("/api/predict?name=a.xml", b"<a><b></a>"), 422, "the root element a"),
        (file("/api/predict?name=a.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03junk"), 422, ""),
        (file("/api/predict?name=a.zip", b"PK\x03\x04junk"), 422, ""),
        (file("/api/predict?name=a.h5", b"\x89HDF\r\n\x1a\njunk"), 422, ""),
        (file("/api/predict?raw=true", &table), 422, ""),
        (file("/api/predict?raw=maybe", &array), 422, "raw is no boolean"),
        (file("/api/predict?unit=kV", &array), 422, "unknown unit"),
        (file("/api/predict?rate=500", &array), 422, "no field 'rate'"),
        (file("/api/predict?sampling_rate_hz=fast", &array), 422, "sampling_rate_hz is no number"),
        (file("/api/predict?sampling_rate_hz=nan", &array), 422, "NaN Hz"),
        (file("/api/predict?sampling_rate_hz=inf", &array), 422, "inf Hz"),
        (file("/api/predict?leads=I,II,V9", &array), 422, "'V9' is not a lead"),
        (file("/api/predict?explain=AFIB", &array), 422, "name one of NORM"),
        (post("/api/predict?unit=mV", "application/json", ok.as_bytes()), 422, "put them into the JSON"),
        (post("/api/predict", "text/plain", ok.as_bytes()), 422, ""),
        (post("/api/predict", "multipart/form-data", b"--edge--"), 400, "its boundary"),
        (post("/api/predict", "multipart/form-data; boundary=edge", b"nonsense"), 400, "cannot be read"),
        (post("/api/predict", "multipart/form-data; boundary=edge", b"--edge\r\ncontent-disposition: form"), 400, ""),
        (Request::form(&[], &[]), 422, "a form without files"),
        (Request::form(&[], &[("unit", "mV")]), 422, "a form without files"),
        (Request::form(&[("a.csv", &table), ("b.csv", &table)], &[]), 422, "do not belong together"),
        (Request::form(&[("a.hea", &header)], &[]), 422, "format16.dat"),
        (Request::form(&[("a.npy", &array)], &[("unit", "kV")]), 422, "unknown unit"),
        (Request::form(&[("a.npy", &array)], &[("colour", "red")]), 422, "no field 'colour'"),
        (Request::form(&vec![("a.dat", &b"x"[..]); 100], &[]), 413, "more than 64 parts"),
        (file("/api/predict", &vec![0; 3 << 20]), 413, "more than 2097152 bytes"),
        (post("/api/predict", "application/json", ok.as_bytes()).header("content-encoding", "gzip"), 415, "encoding"),
        (post("/api/predict", "application/json", ok.as_bytes()).method("PUT"), 405, "other methods"),
        (post("/api/predict", "application/json", ok.as_bytes()).method("DELETE"), 405, "other methods"),
        (Request::get("/api/predict"), 405, "other methods"),
        (post("/healthz", "application/json", b"{}"), 405, "other methods"),
        (post("/api/predictions", "application/json", ok.as_bytes()), 404, "nothing at this path"),
        (Request::get("/../../etc/passwd"), 404, "nothing at this path"),
        (Request::get("/%2e%2e/%2e%2e/etc/passwd"), 404, "nothing at this path"),
        (Request::get("/api/predict/"), 404, "nothing at this path"),
        (Request::get("//"), 404, "nothing at this path"),
        (post("/", "application/json", b"{\"inputs\": 1}"), 400, "inputs is no array"),
        (
            post("/predict", "application/json", b"{\"inputs\": [[1]], \"parameters\": 3}"),
            400,
            "parameters is no object",
        ),
        (post("/predict", "application/json", b"{\"inputs\": [[1]], \"unit\": \"mV\"}"), 400, "no field 'unit'"),
    ]
}

#[test]
fn each_has_the_right_status_and_a_reason() {
    let server = server();
    let (texts, bodies) = (texts(), bodies());
    assert!(texts.len() + bodies.len() >= 100);
    let of_texts = texts
        .into_iter()
        .map(|(text, status, part)| (Request::post("/api/predict", "application/json", text), status, part));
    let mut wrong = Vec::new();
    for (request, status, part) in of_texts.chain(bodies) {
        let response = server.send(&request);
        if !response.is_error(status, part) {
            let shown: String = String::from_utf8_lossy(&request.bytes()).chars().take(300).collect();
            wrong.push(format!("{shown}\nexpected {status} '{part}', got {} {}\n", response.status, response.body));
        }
    }
    assert!(wrong.is_empty(), "{} are answered otherwise:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(server.post(&inputs(&[norm(1, 100.0)], "")).predictions().len(), 1);
    assert!(server.handle.is_ready());
}

#[test]
fn a_body_that_is_cut_off_anywhere_harms_nobody() {
    let server = server();
    let bytes = Request::post("/api/predict", "application/json", inputs(&[norm(1, 100.0)], "")).bytes();
    for part in 1..40 {
        let mut client = Client::connect(server.address);
        client.write(&bytes[..bytes.len() * part / 40]);
        drop(client);
    }
    assert_eq!(server.post(&inputs(&[norm(1, 100.0)], "")).predictions().len(), 1);
}

#[test]
fn a_chunked_body_is_read_and_bounded() {
    let server = server();
    let head = b"POST /api/predict HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n";
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let body = inputs(&[norm(1, 100.0)], "");
    let (first, second) = body.as_bytes().split_at(1000);
    let mut client = Client::connect(server.address);
    client.write(&[&head[..], &chunk(first), &chunk(second), b"0\r\n\r\n"].concat());
    assert_eq!(client.response().predictions().len(), 1);
    assert!(client.is_closed());
    let mut client = Client::connect(server.address);
    client.write(&[&head[..], &chunk(&vec![b' '; 1 << 20]).repeat(3)].concat());
    client.response().assert_error(413, "more than 2097152 bytes");
    for chunk in ["xyz\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "1\r\n{\n"] {
        let mut client = Client::connect(server.address);
        client.write(&[&head[..], chunk.as_bytes()].concat());
        client.response().assert_error(400, "cut off");
        assert!(client.is_closed());
    }
}

#[test]
fn a_body_that_is_refused_is_not_asked_for() {
    let server = server();
    let mut client = Client::connect(server.address);
    client
        .write(b"POST /api/predict HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n");
    client.response().assert_error(413, "more than 2097152 bytes");
    let mut client = Client::connect(server.address);
    let body = inputs(&[norm(1, 100.0)], "");
    let head = "POST /api/predict HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n";
    client.write(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes());
    let mut line = [0; 25];
    std::io::Read::read_exact(&mut client.stream, &mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write(body.as_bytes());
    assert_eq!(client.response().predictions().len(), 1);
}
