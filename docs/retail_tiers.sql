-- The tier of every customer under each downgrade policy, straight from the UCI Online Retail file:
-- what a replay of the same file, and `wellspring recompute` after it, must end with. The tiers are
-- those of the replay: silver from 3,000.00 and gold from 5,000.00 of net lifetime spend. With the
-- sqlite3 shell, from the top of the checkout:
--
--   gzip -dc PATH/TO/orders.csv.gz > /tmp/invoices.csv
--   sqlite3 :memory: ".mode csv" ".import /tmp/invoices.csv invoices" ".mode table" \
--     ".read docs/retail_tiers.sql"
--   rm /tmp/invoices.csv
--
-- IMMEDIATE: where the spend ended. NEVER: the highest it has ever been, invoice by invoice.
-- AT_EXPIRY: what was reached is kept for a year from the last time it held, and a replay takes
-- minutes, so that nothing has expired when it ends: the same as NEVER.
WITH
split AS (
    SELECT
        rowid AS line,
        customer_id,
        invoice_at,
        CASE WHEN total_gbp LIKE '-%' THEN -1 ELSE 1 END AS sign,
        CAST(ltrim(total_gbp, '-') AS INTEGER) AS whole, -- the digits before the point
        substr(
            substr(total_gbp, instr(total_gbp || '.', '.') + 1) || '000', 1, 3
        ) AS decimals
    FROM invoices
    WHERE customer_id <> ''
),
pence AS (
    SELECT
        line,
        customer_id,
        invoice_at,
        sign * (
            whole * 100
            + CAST(substr(decimals, 1, 2) AS INTEGER)
            + CASE WHEN substr(decimals, 3, 1) >= '5' THEN 1 ELSE 0 END
        ) AS amount_minor
    FROM split
),
running AS (
    SELECT
        customer_id,
        sum(amount_minor) OVER (
            PARTITION BY customer_id ORDER BY invoice_at, line ROWS UNBOUNDED PRECEDING
        ) AS spend_minor,
        sum(amount_minor) OVER (PARTITION BY customer_id) AS last_minor
    FROM pence
),
reached AS (
    SELECT customer_id, max(last_minor) AS last_minor, max(spend_minor) AS most_minor
    FROM running
    GROUP BY customer_id
),
tiers (tier, rank, at_least) AS (
    VALUES ('none', 0, -9e15), ('silver', 1, 300000), ('gold', 2, 500000)
)
SELECT
    tier,
    (
        SELECT count(*) FROM reached
        WHERE tier = (SELECT tier FROM tiers WHERE at_least <= last_minor ORDER BY rank DESC)
    ) AS immediate,
    (
        SELECT count(*) FROM reached
        WHERE tier = (SELECT tier FROM tiers WHERE at_least <= most_minor ORDER BY rank DESC)
    ) AS never_or_at_expiry
FROM tiers
ORDER BY rank DESC;
