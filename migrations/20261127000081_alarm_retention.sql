-- Alarms that cleared long ago are forgotten (COUNTERPART_ALARM_KEEP_DAYS).
create index alarm_over on alarm (updated_at) where cleared_at is not null;
comment on table alarm is 'Alarms, active and cleared. At most one active alarm per rule, by alarm_active; a rule belongs to one asset. Those that cleared and did not change for long are forgotten.';
comment on table alarm_log is 'Everything that happened to alarms; rows are only ever added, and go with their alarm.';
