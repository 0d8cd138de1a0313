-- A version that was not promoted forecasts in the shadow of what serves: the same comparison, before a promotion.
alter table probation drop constraint probation_state;
alter table probation add constraint probation_state
    check (state in ('on_probation', 'kept', 'rolled_back', 'replaced', 'in_shadow', 'promoted', 'not_promoted'));
create index probation_shadow on probation (changed_at) where state = 'in_shadow';
create index model_version_not_promoted on model_version (created_at) where not promoted;
comment on table probation is 'Versions against what else serves or served, on what was measured since: before a promotion in the shadow of what serves, after it beside what served before. A row for each.';
comment on column probation.model_id is 'The version that was promoted, or that may be.';
comment on column probation.began_at is 'When it was promoted (champion.probation_from while this goes on); of a shadow when it was made.';
comment on column probation.former_id is 'What it is compared with: what served before, of a shadow what serves; null for the base model.';
comment on column probation.state is 'on_probation: both are still compared; kept: over enough windows it was not worse, so the former is no longer asked; rolled_back: it was worse, and the former serves again; replaced: something else was promoted, rolled back to or made before the end; in_shadow: not promoted, and compared with what serves; promoted: better in the shadow for certain, so it serves; not_promoted: over enough windows it was not, or a person must decide.';
