-- Base models that asset types can name: those inside the program, and those that people added.
create table base_model (
    name text primary key,
    card jsonb,
    weights bytea,
    sha256 bytea,
    golden jsonb,
    created_at timestamptz not null,
    constraint base_model_own check (
        (card is null) = (weights is null) and (card is null) = (sha256 is null) and (card is null) = (golden is null)
    ),
    constraint base_model_sha256 check (sha256 is null or octet_length(sha256) = 32),
    constraint base_model_name check (name <> 'auto')
);
comment on table base_model is 'Base models that asset types can name. Versions of an own one keep it from being deleted.';
comment on column base_model.name is 'What types and model versions name; auto means that jobs choose.';
comment on column base_model.card is 'What is known of it, as pretraining wrote it; null for one inside the program, as are the next three.';
comment on column base_model.weights is 'Backbone and head, safetensors.';
comment on column base_model.sha256 is 'SHA-256 of the weights, checked whenever they are loaded.';
comment on column base_model.golden is 'An input with its answer and tolerance, which the model was checked by when it was added.';
comment on column base_model.created_at is 'When it was added; of one inside the program, when the schema came to know it.';

-- Weights hardly compress: without trying, they are read and written faster.
alter table base_model alter column weights set storage external;

-- Those inside the program (src/model/base.rs): a test compares.
insert into base_model (name, created_at) values ('small-2', now()), ('small-1', now());
