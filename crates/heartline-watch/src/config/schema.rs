//! The file's JSON Schema, for editors and for whoever writes such files by program.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::file::ConfigFile;

/// The schema of `heartline.toml`, in JSON Schema draft 7, which the editors' TOML plugins read.
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft07().with_transform(NoNull);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<ConfigFile>();
    schema.insert("title".to_owned(), "heartline.toml".into());
    schema
}

/// A time as the file has it.
pub(super) struct Time;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time like \"5s\", \"250ms\" or \"1m30s\"; a bare number is seconds.",
            "anyOf": [
                { "type": "string", "pattern": PATTERN },
                { "type": "number", "minimum": 0, "maximum": i32::MAX }
            ]
        })
    }
}

/// TOML has no null: what may be left out is left out.
#[derive(Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                schema.insert("type".to_owned(), one);
            }
        }
        if let Some(Value::Array(ways)) = schema.get_mut("anyOf") {
            ways.retain(|way| way.get("type").is_none_or(|name| name != "null"));
            if let [one] = ways.as_slice() {
                let one = one.clone();
                schema.remove("anyOf");
                if let Value::Object(one) = one {
                    for (key, value) in one {
                        schema.insert(key, value);
                    }
                }
            }
        }
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}

/// A number of seconds, or parts with units (humantime's).
const PATTERN: &str = r"^\s*(\d+(\.\d*)?|\.\d+|(\d+\s*[A-Za-zµ]+\s*)+)\s*$";
