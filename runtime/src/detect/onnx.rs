//! What an ONNX file says of itself, read without its weights. Pure.
//!
//! The messages are those of `onnx.proto3`, cut down to what is used; what isn't listed is skipped. They are read here
//! because tract has no way to ask for metadata, and because a file should be judged before anything loads it.

use std::collections::BTreeMap;

use prost::Message;

/// The element type of 32-bit floats (`TensorProto.DataType.FLOAT`).
const FLOAT: i32 = 1;
/// The element type of 16-bit floats (`TensorProto.DataType.FLOAT16`).
const FLOAT16: i32 = 10;

/// What a file says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The version of the standard operators; none when the file doesn't say.
    pub opset: Option<i64>,
    /// What the graph takes, without its weights.
    pub inputs: Vec<Tensor>,
    /// What it gives.
    pub outputs: Vec<Tensor>,
    /// What the exporter wrote beside it.
    pub metadata: BTreeMap<String, String>,
    /// Operators that it uses.
    pub nodes: usize,
}

/// A tensor that goes in or comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// What its elements are.
    pub element: Element,
    /// Its sides; none where they are free or unknown.
    pub shape: Vec<Option<u64>>,
}

/// The type of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    Float,
    /// 16-bit floats.
    Half,
    /// Anything else, by its number in ONNX.
    Other(i32),
}

/// Why a file isn't a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAModel {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// Its fields don't end where they say.
    #[error("it ends too early, or isn't ONNX at all: {0}")]
    Broken(String),
    /// It is some message, and not a model.
    #[error("it has no graph of operators, so it isn't ONNX")]
    NoGraph,
}

impl Facts {
    /// Reads a file's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, NotAModel> {
        if bytes.is_empty() {
            return Err(NotAModel::Empty);
        }
        let model = ModelProto::decode(bytes).map_err(|e| NotAModel::Broken(e.to_string()))?;
        let graph = model.graph.filter(|graph| !graph.node.is_empty()).ok_or(NotAModel::NoGraph)?;
        // Old exporters list weights among the inputs.
        let weight = |name: &str| graph.initializer.iter().any(|weight| weight.name == name);
        let standard = |set: &&OperatorSetIdProto| matches!(set.domain.as_str(), "" | "ai.onnx");
        Ok(Facts {
            opset: model.opset_import.iter().find(standard).map(|set| set.version),
            inputs: graph.input.iter().filter(|input| !weight(&input.name)).map(tensor).collect(),
            outputs: graph.output.iter().map(tensor).collect(),
            metadata: model.metadata_props.into_iter().map(|prop| (prop.key, prop.value)).collect(),
            nodes: graph.node.len(),
        })
    }
}

fn tensor(info: &ValueInfoProto) -> Tensor {
    let kind = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let shape = kind.and_then(|kind| kind.shape.as_ref());
    let side = |side: &Dimension| side.value.and_then(|value| u64::try_from(value).ok());
    Tensor {
        name: info.name.clone(),
        element: match kind.map_or(0, |kind| kind.element) {
            FLOAT => Element::Float,
            FLOAT16 => Element::Half,
            other => Element::Other(other),
        },
        shape: shape.map_or_else(Vec::new, |shape| shape.dim.iter().map(side).collect()),
    }
}

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, tag = "4")]
    op_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(string, tag = "8")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const V8: &[u8] = include_bytes!("../../../tests/fixtures/detect/v8.onnx");

    #[test]
    fn a_file_says_what_goes_in_and_comes_out() {
        let facts = Facts::read(V8).unwrap();
        assert_eq!(facts.opset, Some(17));
        let shape = |tensor: &Tensor| (tensor.name.clone(), tensor.shape.clone());
        assert_eq!(
            facts.inputs.iter().map(shape).collect::<Vec<_>>(),
            [("images".into(), vec![None, Some(3), Some(64), Some(96)])]
        );
        assert_eq!(
            facts.outputs.iter().map(shape).collect::<Vec<_>>(),
            [("output0".into(), vec![None, Some(7), Some(126)])]
        );
        assert_eq!(facts.metadata["stride"], "32");
        assert!(facts.nodes > 20);
    }

    #[test]
    fn what_is_no_model_says_why() {
        assert_eq!(Facts::read(b""), Err(NotAModel::Empty));
        for end in [V8.len() - 1, V8.len() / 2, 40] {
            assert!(matches!(Facts::read(&V8[..end]), Err(NotAModel::Broken(_))), "{end}");
        }
        assert!(Facts::read(b"this is a text, and no model").is_err());
        assert!(Facts::read(&[0x08, 0x08]).is_err_and(|why| why == NotAModel::NoGraph));
    }
}
