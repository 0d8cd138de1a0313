-- What will become of the health class, beside the class of now.

alter table health add column outlook jsonb;
comment on column health.outlook is 'The class at the instants ahead that the classifier was taught, and the time until each other class as a distribution, each with who says so; null where the version does not know it.';
