-- A version whose head is the base model's own says so.
alter table model_version add column note text;
comment on column model_version.note is 'Why nothing was learned and the head is the base model''s own, with bands made honest; null for a head that learned.';
