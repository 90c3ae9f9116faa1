//! Where two GGUF files begin to differ.

use lfmq_gguf_wire::{Container, Tensor, Value};
use std::path::Path;

/// The first difference to the golden of this path, if its folder is known.
pub fn explain(path: &str, found: &[u8]) -> String {
    let Some(folder) = std::env::var_os("LFMQ_GOLDEN") else { return "another digest".to_owned() };
    match std::fs::read(Path::new(&folder).join(path)) {
        Ok(expected) => first(&expected, found).unwrap_or_else(|| "another order or padding".to_owned()),
        Err(error) => format!("another digest; cannot read the golden: {error}"),
    }
}

fn first(expected: &[u8], found: &[u8]) -> Option<String> {
    let (a, b) = match (Container::parse(expected), Container::parse(found)) {
        (Ok(a), Ok(b)) => (a, b),
        (a, b) => return Some(format!("unreadable: golden {:?}, ours {:?}", a.err(), b.err())),
    };
    let (keys, ours) = (a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (x, y) in keys.iter().zip(&ours) {
        if x != y {
            return Some(format!("key {} {}", x.0, key(x, y)));
        }
    }
    if keys.len() != ours.len() {
        return Some(format!("{} keys, ours {}", keys.len(), ours.len()));
    }
    for (x, y) in a.tensors().iter().zip(b.tensors()) {
        let shape = |t: &Tensor| format!("{} {} {:?}", t.name(), t.ty(), t.dims());
        if shape(x) != shape(y) {
            return Some(format!("tensor {}, ours {}", shape(x), shape(y)));
        }
        let (p, q) = (x.data(), y.data());
        if p != q {
            let differing = p.iter().zip(q).filter(|(p, q)| p != q).count();
            let at = p.iter().zip(q).position(|(p, q)| p != q);
            return Some(format!("{}: {differing} of {} bytes, first at {at:?}", shape(x), p.len()));
        }
    }
    None
}

/// The first difference of two keys.
fn key(expected: &(&str, Value), found: &(&str, Value)) -> String {
    if let (Value::Array(a), Value::Array(b)) = (expected.1, found.1) {
        let at = a.iter().zip(b.iter()).enumerate().find(|(_, (x, y))| x != y);
        return format!("{} elements, ours {}; first difference {at:?}", a.len(), b.len());
    }
    format!("is {:?}, ours {found:?}", expected.1)
}
