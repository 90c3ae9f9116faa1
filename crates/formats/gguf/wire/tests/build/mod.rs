//! A builder of GGUF bytes, right or wrong, that shares nothing with the reader or the exporter.
#![allow(dead_code, reason = "each test file uses its part")]

pub fn text(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// A key with a raw value.
pub fn key(name: impl AsRef<[u8]>, ty: u32, value: &[u8]) -> Vec<u8> {
    [text(name).as_slice(), &ty.to_le_bytes(), value].concat()
}

pub fn u32_key(name: &str, value: u32) -> Vec<u8> {
    key(name, 4, &value.to_le_bytes())
}

pub fn f32_key(name: &str, value: f32) -> Vec<u8> {
    key(name, 6, &value.to_le_bytes())
}

pub fn str_key(name: &str, value: &str) -> Vec<u8> {
    key(name, 8, &text(value))
}

/// An array value's bytes.
pub fn array(element: u32, count: u64, bytes: &[u8]) -> Vec<u8> {
    [element.to_le_bytes().as_slice(), &count.to_le_bytes(), bytes].concat()
}

pub fn info(name: &str, dims: &[u64], ty: u32, offset: u64) -> Vec<u8> {
    let mut out = text(name);
    out.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
    out.extend(ty.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out
}

/// Everything a file consists of; the counts can be made to lie.
pub struct File {
    pub magic: [u8; 4],
    pub version: u32,
    pub tensors: Option<u64>,
    pub keys: Option<u64>,
    pub kv: Vec<Vec<u8>>,
    pub infos: Vec<Vec<u8>>,
    pub alignment: usize,
    pub data: Vec<u8>,
}

impl Default for File {
    /// The valid file that every damaged one differs from in one point: a matrix of 32 rows and a vector.
    fn default() -> Self {
        let mut kv = vec![str_key("general.architecture", "lfm2")];
        let counts = [
            ("block_count", 1),
            ("context_length", 64),
            ("embedding_length", 256),
            ("feed_forward_length", 256),
            ("attention.head_count", 8),
            ("attention.head_count_kv", 2),
            ("vocab_size", 32),
            ("shortconv.l_cache", 3),
        ];
        kv.extend(counts.map(|(name, value)| u32_key(&format!("lfm2.{name}"), value)));
        kv.push(f32_key("lfm2.rope.freq_base", 1e6));
        kv.push(f32_key("lfm2.attention.layer_norm_rms_epsilon", 1e-5));
        kv.push(str_key("tokenizer.ggml.model", "none"));
        let infos =
            vec![info("blk.0.ffn_up.weight", &[256, 32], 0, 0), info("token_embd_norm.weight", &[256], 0, 32768)];
        let data = 1f32.to_le_bytes().repeat(8192 + 256);
        Self { magic: *b"GGUF", version: 3, tensors: None, keys: None, kv, infos, alignment: 32, data }
    }
}

impl File {
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensors.unwrap_or(self.infos.len() as u64).to_le_bytes());
        out.extend(self.keys.unwrap_or(self.kv.len() as u64).to_le_bytes());
        out.extend(self.kv.concat());
        out.extend(self.infos.concat());
        if self.alignment > 0 {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
        }
        out.extend(&self.data);
        out
    }

    /// The valid file with one more key.
    pub fn with_key(key: Vec<u8>) -> Self {
        let mut file = Self::default();
        file.kv.push(key);
        file
    }

    /// The valid file with another second tensor.
    pub fn with_info(info: Vec<u8>) -> Self {
        let mut file = Self::default();
        file.infos[1] = info;
        file
    }
}
