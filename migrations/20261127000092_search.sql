-- Settings may be searched before a head learns, and a head may begin from those of its fleet.
alter table model_version
    add column search jsonb,
    add column ancestry jsonb;
comment on column model_version.search is 'What a search for settings was asked for and tried: each candidate at the end of each rung, with its settings, steps and validation loss; the winner''s settings are in recipe. Null without a search.';
comment on column model_version.ancestry is 'Which head learning began from: the base model''s or the pooled one, the ids of the versions that were pooled, and the validation losses of both before learning. Null where the type had no other asset that learned.';

alter table fine_tune_job add column rung int4;
comment on column fine_tune_job.rung is 'Rung of the search for settings that the newest attempt is in, or was in last, the first is 0; null without a search.';
