//! The description of the API, and a readable reference made from it that needs no network.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse as _;
use axum::routing::get;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, OpenApiVersion, Ref, RefOr,
    Required, Response, ResponseBuilder, Schema,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::rights;
use crate::access::Right;
use crate::access::routes::COOKIE;
use crate::web::{idempotency, problem};

/// Name of the answer that every operation may give instead of its own.
const PROBLEM: &str = "Problem";
/// Names of the two ways to bring a key.
const BEARER: &str = "key";
const SIGNED_IN: &str = "session";

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
        let makes = ["201", "202"].iter().any(|created| post.responses.responses.contains_key(*created));
        // A kept answer would keep the secret of a key or a webhook; base models are more than is kept.
        let apart = post.tags.iter().flatten().any(|tag| ["keys", "webhooks", "models"].contains(&tag.as_str()));
        if makes && !apart {
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
    guard(&mut api);
    api
}

/// Says with which keys operations can be had: from the table that the gate goes by.
fn guard(api: &mut OpenApi) {
    let schemes = [
        (
            BEARER,
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("cpk_...").description(Some(
                "An API key. None is needed on a server that listens on a loopback address, as long as there never \
                 was a key of an admin.",
            )).build()),
        ),
        (
            SIGNED_IN,
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                COOKIE,
                "The same key in a cookie, for pages: POST /v1/session puts it there. What changes something must come \
                 from a page of the same origin.",
            ))),
        ),
    ];
    let components = api.components.get_or_insert_default();
    components.security_schemes.extend(schemes.map(|(name, scheme)| (name.to_owned(), RefOr::T(scheme))));
    let either = [BEARER, SIGNED_IN].map(|name| SecurityRequirement::new(name, [] as [&str; 0]));
    api.security = Some(either.to_vec());
    for (method, path, right) in rights::TABLE {
        let Some(item) = api.paths.paths.get_mut(*path) else { continue };
        let operation = match *method {
            "GET" => &mut item.get,
            "PUT" => &mut item.put,
            "POST" => &mut item.post,
            "DELETE" => &mut item.delete,
            _ => &mut item.patch,
        };
        let Some(operation) = operation else { continue };
        if *right == Right::Open {
            operation.security = Some(Vec::new());
            continue;
        }
        let mut refused = |status: &str, name: &str, description: String| {
            let content = Content::new(Some(Ref::from_schema_name(PROBLEM)));
            let answer = ResponseBuilder::new().description(description).content(problem::MEDIA_TYPE, content).build();
            components.responses.entry(name.to_owned()).or_insert(RefOr::T(answer));
            let named = RefOr::Ref(Ref::from_response_name(name));
            operation.responses.responses.entry(status.to_owned()).or_insert(named);
        };
        refused("401", "KeyNeeded", "The server asks for a key".to_owned());
        if *right != Right::Any {
            let roles = format!("The key has another role than {}", right.in_words());
            refused("403", &format!("RoleNeededTo{right:?}"), roles);
        }
    }
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
