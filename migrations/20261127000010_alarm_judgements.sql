-- Alarm rules also watch the anomaly score of an asset and the probability of a health class.
alter table alarm_rule add column class text;
alter table alarm_rule drop constraint alarm_rule_source;
alter table alarm_rule drop constraint alarm_rule_signal;
alter table alarm_rule add constraint alarm_rule_source check (source in ('measured', 'predicted', 'anomaly', 'health'));
alter table alarm_rule add constraint alarm_rule_signal check (
    (signal is null) = (position is null)
    and (signal is not null or condition = 'missing' or source in ('anomaly', 'health'))
    and (signal is null or source in ('measured', 'predicted')));
alter table alarm_rule add constraint alarm_rule_class check ((class is not null) = (source = 'health'));
alter table alarm drop constraint alarm_source;
alter table alarm add constraint alarm_source check (source in ('measured', 'predicted', 'anomaly', 'health'));
comment on column alarm_rule.source is
    'measured: readings are watched; predicted: the twin''s own newest forecast; anomaly: the anomaly score; health: the probability of a class.';
comment on column alarm_rule.class is 'Of health: the class whose probability is watched.';
comment on column alarm.source is 'measured, predicted, anomaly or health, as of the rule.';
