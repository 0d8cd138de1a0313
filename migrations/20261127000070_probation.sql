-- A version that was promoted is on probation: what served before it goes on being asked beside it.
alter table champion add column probation_from timestamptz;
comment on column champion.probation_from is 'When the present version was put on probation: its promotion. Null once that has ended, and for what was rolled back to, for the base model, and for promotions before there was a probation.';
create index champion_on_probation on champion (asset_id) where probation_from is not null;
create index champion_by_change on champion (changed_at);

create table probation (
    asset_id int8 not null references asset (id) on delete cascade,
    model_id uuid not null references model_version (id),
    began_at timestamptz not null,
    former_id uuid references model_version (id),
    state text not null default 'on_probation',
    next_at timestamptz not null,
    due_at timestamptz not null,
    bouts jsonb not null default '[]',
    reason text not null,
    ended_at timestamptz,
    changed_at timestamptz not null,
    constraint probation_key primary key (asset_id, model_id, began_at),
    constraint probation_state check (state in ('on_probation', 'kept', 'rolled_back', 'replaced'))
);
create index probation_running on probation (changed_at) where state = 'on_probation';
comment on table probation is 'Promoted versions against what served before them, on what was measured since. A row for each promotion.';
comment on column probation.asset_id is 'The asset that is served.';
comment on column probation.model_id is 'The version that was promoted.';
comment on column probation.began_at is 'When it was; champion.probation_from while this goes on.';
comment on column probation.former_id is 'What served before and is asked beside it; null for the base model.';
comment on column probation.state is 'on_probation: both are still compared; kept: over enough windows it was not worse, so the former is no longer asked; rolled_back: it was worse, and the former serves again; replaced: something else was promoted or rolled back to before the end.';
comment on column probation.next_at is 'Instant that both are asked about next.';
comment on column probation.due_at is 'Once readings have reached this instant, the next comparison can be made.';
comment on column probation.bouts is 'What was compared so far, in the order of time: instants, CRPS of both and of the naive forecast in deviations of the outputs (null: no finite answer), what their 80 % bands held.';
comment on column probation.reason is 'How it stands, or how it ended, in words.';
comment on column probation.ended_at is 'When it ended; null before.';
comment on column probation.changed_at is 'When a window was last compared, or it ended; who waited longest is looked at first.';
