//! Weights in safetensors, read tensor by tensor. The files are read, not mapped. So a volume that fails later, or a
//! file that shrinks, is an error here and not a SIGBUS during a request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use belfry_crds::contract::load_failure::{LoadFailure, LoadFailureReason as Reason};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::device::{Device, one_line};
use crate::failure::{Result, failure};
use crate::folder::Folder;
use crate::folder::digest::Hasher;
use crate::plain;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Largest header that is read; the format itself allows no more.
const HEADER_LIMIT: u64 = 100_000_000;

/// Most whole numbers of a tensor.
const NUMBERS_LIMIT: usize = 1 << 24;

/// Most files of one model.
const FILES_LIMIT: usize = 256;

/// Bytes that are read at once if the weights are not loaded.
const PIECE: u64 = 4 << 20;

/// Files that other loaders would unpickle, which would run any code in them.
const PICKLES: &[&str] = &["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth", "tf_model.h5"];

/// The tensors of a model by name, on the device and in its data type.
pub struct Weights {
    tensors: HashMap<String, Tensor>,
    /// Memory of the tensors that were taken, in bytes.
    taken: usize,
    /// For messages.
    path: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Reads model.safetensors, or the files that model.safetensors.index.json lists.
    pub fn read(folder: &Folder, device: &Device) -> Result<Self> {
        Self::of(folder, &files(folder)?, device)
    }

    /// Reads one file of another name.
    pub fn file(folder: &Folder, name: &str, device: &Device) -> Result<Self> {
        Self::of(folder, &[name.to_owned()], device)
    }

    fn of(folder: &Folder, files: &[String], device: &Device) -> Result<Self> {
        let needed = needed(folder, device, files)?;
        let mut tensors = HashMap::new();
        let path = || folder.path(files.first().map_or(SINGLE, String::as_str));
        device.fits(needed).map_err(|why| failure(Reason::OutOfMemory, format!("{}: {why}", path())))?;
        for name in files {
            let broken = |error: io::Error| folder.corrupt(name, error);
            let reader =
                Reader { folder, name, device, tensors: &mut tensors, hasher: Hasher::start().map_err(broken)? };
            folder.loaded(name, reader.file()?.finish().map_err(broken)?);
        }
        Ok(Self { tensors, taken: 0, path: path() })
    }

    /// Whether a tensor of this name exists and was not taken.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Names of the tensors that were not taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Rows of a tensor that was not taken; 0 if there is none.
    pub fn rows(&self, name: &str) -> usize {
        self.tensors.get(name).and_then(|tensor| tensor.size().first().copied()).unwrap_or_default() as usize
    }

    /// Memory of the tensors that were taken, in bytes.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes a tensor that must exist and have this shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(tensor) = self.tensors.get(name) else {
            return Err(self.mismatch(format!("tensor {name} is missing")));
        };
        let found = tensor.size();
        if found.iter().map(|n| *n as usize).ne(shape.iter().copied()) {
            let why = format!("tensor {name} has shape {found:?}; config.json asks for {shape:?}");
            return Err(self.mismatch(why));
        }
        let tensor = self.tensors.remove(name).ok_or_else(|| self.mismatch(name))?;
        self.taken += tensor.numel() * tensor.kind().elt_size_in_bytes();
        Ok(tensor)
    }

    /// Forgets a tensor, if it exists.
    pub fn drop(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    /// The failure of weights that lack what config.json asks for.
    pub fn mismatch(&self, why: impl Display) -> LoadFailure {
        let message = format!(
            "{}: {}; the file and config.json belong to different models",
            self.path,
            plain::short(&why.to_string())
        );
        failure(Reason::WeightsMismatch, message)
    }

    /// The failure of weights that hold what this worker has no network for.
    pub fn unsupported(&self, why: impl Display) -> LoadFailure {
        failure(Reason::UnsupportedArchitecture, format!("{}: {}", self.path, plain::short(&why.to_string())))
    }
}

/// The shape of each tensor by its name, and its type if that is one which is not loaded, such as whole numbers.
pub type Shapes = BTreeMap<String, (Vec<usize>, Option<Dtype>)>;

/// Reads the shapes of all tensors, without their values.
pub fn shapes(folder: &Folder) -> Result<Shapes> {
    let mut shapes = Shapes::new();
    for name in files(folder)? {
        let (mut file, size) = folder.file(&name)?;
        let (metadata, _) = header(folder, &name, &mut file, size)?;
        shapes.extend(metadata.tensors().into_iter().map(|(name, info)| {
            let odd = Some(info.dtype).filter(|dtype| kind(*dtype).is_none());
            (name, (info.shape.clone(), odd))
        }));
    }
    Ok(shapes)
}

/// Reads a list of whole numbers, which no network has among its weights; `None` if there is no tensor of this name.
pub fn whole_numbers(folder: &Folder, tensor: &str) -> Result<Option<Vec<i64>>> {
    for name in files(folder)? {
        let (mut file, size) = folder.file(&name)?;
        let (metadata, _) = header(folder, &name, &mut file, size)?;
        let Some(info) = metadata.info(tensor) else { continue };
        let refuse = |why: String| Err(folder.unsupported(&name, format!("{tensor} {why}")));
        let Some((width, signed)) = whole(info.dtype) else {
            return refuse(format!("is in {:?}; whole numbers are supported", info.dtype));
        };
        let &[count] = info.shape.as_slice() else {
            return refuse(format!("has shape {:?}; it must be a list", info.shape));
        };
        if count > NUMBERS_LIMIT {
            return refuse(format!("has {count} numbers; at most {NUMBERS_LIMIT} are read"));
        }
        let mut bytes = vec![0; count * width];
        let start = file.seek(SeekFrom::Current(info.data_offsets.0 as i64));
        start.and_then(|_| file.read_exact(&mut bytes)).map_err(|error| folder.corrupt(&name, error))?;
        return Ok(Some(bytes.chunks_exact(width).map(|bytes| number(bytes, signed)).collect()));
    }
    Ok(None)
}

/// Bytes of a whole number of this type, and whether it may be below 0.
fn whole(dtype: Dtype) -> Option<(usize, bool)> {
    Some(match dtype {
        Dtype::U8 => (1, false),
        Dtype::I8 => (1, true),
        Dtype::U16 => (2, false),
        Dtype::I16 => (2, true),
        Dtype::U32 => (4, false),
        Dtype::I32 => (4, true),
        Dtype::I64 => (8, true),
        _ => return None,
    })
}

/// A whole number, the lowest byte first.
fn number(bytes: &[u8], signed: bool) -> i64 {
    let filled = bytes.last().is_some_and(|last| signed && last & 0x80 != 0);
    bytes.iter().rev().fold(if filled { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
}

/// Reads the files for the manifest only.
pub fn hash(folder: &Folder) -> Result<()> {
    files(folder)?.iter().try_for_each(|name| hash_file(folder, name))
}

/// Reads one file of another name for the manifest only.
pub fn hash_file(folder: &Folder, name: &str) -> Result<()> {
    let broken = |error: io::Error| folder.corrupt(name, error);
    let (mut file, _) = folder.file(name)?;
    let hasher = Hasher::start().map_err(broken)?;
    loop {
        let mut piece = Vec::new();
        if file.by_ref().take(PIECE).read_to_end(&mut piece).map_err(broken)? == 0 {
            break;
        }
        hasher.update(piece);
    }
    folder.loaded(name, hasher.finish().map_err(broken)?);
    Ok(())
}

/// Memory that the tensors of all files take on the device, in bytes: each in the device's type, whatever the file's. The largest
/// one also takes its bytes in the file while it is read.
fn needed(folder: &Folder, device: &Device, files: &[String]) -> Result<u64> {
    let (mut sum, mut largest) = (0_u64, 0);
    for name in files {
        let (mut file, size) = folder.file(name)?;
        let (metadata, _) = header(folder, name, &mut file, size)?;
        for info in metadata.offset_keys().iter().filter_map(|name| metadata.info(name)) {
            let bytes = (info.data_offsets.1 - info.data_offsets.0) as u64;
            largest = largest.max(bytes);
            if kind(info.dtype).is_some() {
                let elements: usize = info.shape.iter().product();
                sum = sum.saturating_add((elements * device.element_size()) as u64);
            }
        }
    }
    Ok(sum.saturating_add(largest))
}

/// The files to read, in the order of their names.
fn files(folder: &Folder) -> Result<Vec<String>> {
    if folder.has(SINGLE) {
        return Ok(vec![SINGLE.to_owned()]);
    }
    if folder.has(INDEX) {
        let index: Index = folder.json(INDEX)?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        let plain = |name: &String| name.ends_with(".safetensors") && !name.contains(['/', '\\']);
        if names.is_empty() || names.len() > FILES_LIMIT || !names.iter().all(plain) {
            return Err(folder.corrupt(INDEX, format!("it must name 1 to {FILES_LIMIT} .safetensors files beside it")));
        }
        return Ok(names.into_iter().collect());
    }
    match PICKLES.iter().find(|name| folder.has(name)) {
        Some(pickle) => {
            let path = folder.path(SINGLE);
            let message = format!(
                "{path}: is missing, and {pickle} is never loaded because unpickling runs code; convert it to safetensors"
            );
            Err(failure(Reason::FileMissing, message))
        }
        None => Err(folder.missing(SINGLE)),
    }
}

/// Reads one file.
struct Reader<'a> {
    folder: &'a Folder,
    name: &'a str,
    device: &'a Device,
    tensors: &'a mut HashMap<String, Tensor>,
    hasher: Hasher,
}

impl Reader<'_> {
    fn file(self) -> Result<Hasher> {
        let (mut file, size) = self.folder.file(self.name)?;
        let (metadata, header) = header(self.folder, self.name, &mut file, size)?;
        self.hasher.update(header);
        for name in metadata.offset_keys() {
            if let Some(info) = metadata.info(&name) {
                let bytes = self.bytes(&mut file, info.data_offsets.1 - info.data_offsets.0)?;
                // Integer tensors of encoders are buffers, such as position_ids, that are computed instead.
                if let Some(kind) = kind(info.dtype) {
                    let shape: Vec<i64> = info.shape.iter().map(|n| *n as i64).collect();
                    let tensor = self.device.tensor(&bytes, &shape, kind).map_err(|error| {
                        failure(
                            Reason::OutOfMemory,
                            format!("{}: tensor {name}: {}", self.folder.path(self.name), one_line(&error)),
                        )
                    })?;
                    self.tensors.insert(name, tensor);
                }
                self.hasher.update(bytes);
            }
        }
        Ok(self.hasher)
    }

    fn bytes(&self, file: &mut File, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(|error| self.folder.corrupt(self.name, error))?;
        Ok(bytes)
    }
}

/// Reads the header, and checks that the tensors that it lists fill the file exactly. Returned with it are the bytes that were read.
fn header(folder: &Folder, name: &str, file: &mut File, size: u64) -> Result<(Metadata, Vec<u8>)> {
    let not_safetensors = |why: &str| folder.corrupt(name, format!("it is no safetensors file: {why}"));
    if size < 8 {
        return Err(not_safetensors("it is shorter than a header"));
    }
    let mut read = vec![0; 8];
    file.read_exact(&mut read).map_err(|error| folder.corrupt(name, error))?;
    let length = read.iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    if length > HEADER_LIMIT.min(size - 8) {
        return Err(not_safetensors(&format!("it announces a header of {length} bytes and has {size}")));
    }
    read.resize(8 + length as usize, 0);
    file.read_exact(&mut read[8..]).map_err(|error| folder.corrupt(name, error))?;
    let metadata: Metadata =
        plain::read(&read[8..]).map_err(|why| folder.corrupt(name, format!("its header is broken: {why}")))?;
    let expected = (metadata.data_len() as u64).saturating_add(8 + length);
    if expected != size {
        let why = format!("it has {size} bytes and its header describes {expected}, so it is not complete");
        return Err(folder.corrupt(name, why));
    }
    Ok((metadata, read))
}

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::F32 => Some(Kind::Float),
        Dtype::F64 => Some(Kind::Double),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::args::{Compute, DeviceArg, DtypeArg};

    #[test]
    fn memory_is_that_of_all_shards_in_the_type_that_is_served() {
        let dir = tempfile::TempDir::new().unwrap();
        let mut map = serde_json::Map::new();
        for (shard, elements) in [("model-1.safetensors", 100), ("model-2.safetensors", 40)] {
            let bytes = vec![0; elements * 2];
            let view = TensorView::new(Dtype::F16, vec![elements], &bytes).unwrap();
            std::fs::write(dir.path().join(shard), safetensors::serialize([(shard, view)], None).unwrap()).unwrap();
            map.insert(shard.to_owned(), serde_json::json!(shard));
        }
        let index = serde_json::json!({ "weight_map": map }).to_string();
        std::fs::write(dir.path().join(INDEX), index).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let files = files(&folder).unwrap();
        for (dtype, size) in [(DtypeArg::Float32, 4), (DtypeArg::Bfloat16, 2)] {
            let device = Device::choose(&Compute { device: DeviceArg::Cpu, dtype, threads: 1 }).unwrap();
            // The largest tensor's bytes in the file are there while it is converted.
            assert_eq!(needed(&folder, &device, &files).unwrap(), 140 * size + 200);
        }
    }
}
