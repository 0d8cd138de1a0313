-- The time that remains until a class that ends runs, beside the health class, which may now be missing.

alter table health
    add column remaining jsonb,
    alter column class drop not null,
    alter column probabilities drop not null;
comment on column health.class is 'The likeliest class; null where the version has no classifier.';
comment on column health.probabilities is 'Probability of each class that the classifier knows; they sum to 1. Null where the version has no classifier.';
comment on column health.remaining is 'The time until a class that ends runs: quantiles, horizon and the probability of what lies beyond it; null where the version does not know it, and while the asset is down.';
