//! The description of the API, and a readable reference made from it that needs no network.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::routing::get;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiVersion, Ref, RefOr,
    Required, Response, ResponseBuilder, Schema,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::web::{idempotency, problem};

/// Name of the answer that every operation may give instead of its own.
const PROBLEM: &str = "Problem";

pub(super) fn router(api: &OpenApi) -> Router {
    let document = Bytes::from(serde_json::to_vec_pretty(api).unwrap_or_default());
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], document.clone()).into_response();
    let reference = SwaggerUi::new("/docs").config(
        Config::from("/openapi.json")
            .validator_url("none")
            .display_request_duration(true)
            .try_it_out_enabled(true)
            .default_models_expand_depth(-1),
    );
    Router::from(reference).route("/openapi.json", get(answer))
}

/// Adds what all operations share: who we are, and that any of them may answer with a problem.
pub(super) fn complete(mut api: OpenApi) -> OpenApi {
    api.openapi = OpenApiVersion::Version31;
    api.info = InfoBuilder::new()
        .title("Counterpart")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A digital twin server that learns its asset. Instants are RFC 3339 in UTC. Errors are problem documents \
             (RFC 9457); each type has a page at `/problems/{slug}`.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build();
    let components = api.components.take().map_or_else(ComponentsBuilder::new, ComponentsBuilder::from);
    let components = components
        .schema(PROBLEM, problem::Document::schema())
        .schema("FieldError", problem::FieldError::schema())
        .response(PROBLEM, problem_answer());
    api.components = Some(components.build());
    for post in api.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
        if ["201", "202"].iter().any(|created| post.responses.responses.contains_key(*created)) {
            post.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
        }
    }
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        let shared = RefOr::Ref(Ref::from_response_name(PROBLEM));
        // Rooms name their handlers for what they do there; among all rooms that is not unique.
        if let (Some(id), Some(tag)) = (&operation.operation_id, operation.tags.as_ref().and_then(|tags| tags.first()))
        {
            operation.operation_id = Some(format!("{}_{id}", tag.replace([' ', '-'], "_")));
        }
        for parameter in operation.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                parameter.schema = parameter.schema.take().map(without_null);
            }
        }
        operation.responses.responses.entry("default".to_owned()).or_insert(shared);
    }
    api
}

/// The header of requests that make something.
fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Names the request: sent again under the same key, it is answered as before and not carried out again",
        ))
        .schema(Some(
            ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(idempotency::MAX_KEY)),
        ))
        .build()
}

fn problem_answer() -> Response {
    ResponseBuilder::new()
        .description("The request was not carried out; the document says why.")
        .content(problem::MEDIA_TYPE, Content::new(Some(Ref::from_schema_name(PROBLEM))))
        .build()
}

/// A parameter that is not given is absent; there is no way to send null in an address or a header.
fn without_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|of| *of != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::OneOf(mut choice)) => {
            let is_null = |of: &RefOr<Schema>| matches!(of, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
            choice.items.retain(|of| !is_null(of));
            if choice.items.len() == 1 { choice.items.remove(0) } else { RefOr::T(Schema::OneOf(choice)) }
        }
        other => other,
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch, &mut item.head, &mut item.options]
        .into_iter()
        .filter_map(Option::as_mut)
}
