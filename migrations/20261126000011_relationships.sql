-- How assets hang together.
create table relationship (
    source_id int8 not null references asset (id) on delete cascade,
    type text not null,
    target_id int8 not null references asset (id) on delete cascade,
    from_signal text not null,
    to_signal text not null,
    created_at timestamptz not null,
    constraint relationship_key primary key (source_id, type, target_id),
    constraint relationship_fed_once unique (target_id, type, to_signal),
    constraint relationship_type check (type in ('feeds')),
    constraint relationship_not_itself check (source_id <> target_id)
);
comment on table relationship is 'Directed relationships between assets. Those of type feeds never form a circle: the server looks before it writes, one writer at a time.';
comment on column relationship.source_id is 'The asset that it starts from.';
comment on column relationship.type is 'feeds: an output of the source is an input of the target.';
comment on column relationship.target_id is 'The asset that it leads to.';
comment on column relationship.from_signal is 'Of feeds: the output of the source.';
comment on column relationship.to_signal is 'Of feeds: the disturbance or control input of the target that it becomes; fed by one asset only.';
comment on column relationship.created_at is 'When it was made, or last changed.';
