-- How a version answers its control inputs, measured once.
create table model_response (
    model_id uuid primary key references model_version (id) on delete cascade,
    responses jsonb not null,
    created_at timestamptz not null
);
comment on table model_response is 'Step probes of a version at several states of its asset''s history, made when somebody first asks. A version never changes, so neither does its row.';
comment on column model_response.model_id is 'The version that was probed.';
comment on column model_response.responses is 'For every control input and output: sign, gain, delay and settling time, each with the interval that most probes lie in.';
comment on column model_response.created_at is 'When it was probed.';
