-- The losses of a job that is learning, told while it goes on.
alter table fine_tune_job add column curve jsonb not null default '[]';
comment on column fine_tune_job.curve is 'Losses of the newest attempt to learn, point by point as the worker told them; the version keeps all of those of the one that was chosen.';
