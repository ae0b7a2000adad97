-- Net spend per customer in pence, straight from the UCI Online Retail file: what a replay of
-- the same file must end with. With the sqlite3 shell, from the top of the checkout:
--
--   gzip -dc PATH/TO/orders.csv.gz > /tmp/invoices.csv
--   sqlite3 :memory: ".mode csv" ".import /tmp/invoices.csv invoices" ".read docs/retail_spend.sql"
--   rm /tmp/invoices.csv
--
-- Every column is imported as text, and no total ever becomes a float: each invoice is rounded
-- half up by magnitude to whole pence from its digits, and keeps its sign.
WITH
signed AS (
    SELECT
        customer_id,
        CASE WHEN total_gbp LIKE '-%' THEN -1 ELSE 1 END AS sign,
        ltrim(total_gbp, '-') AS pounds
    FROM invoices
    WHERE customer_id <> ''
),
split AS (
    SELECT
        customer_id,
        sign,
        CAST(pounds AS INTEGER) AS whole, -- the digits before the point
        substr(substr(pounds, instr(pounds || '.', '.') + 1) || '000', 1, 3) AS decimals
    FROM signed
)
SELECT
    customer_id,
    sum(
        sign * (
            whole * 100
            + CAST(substr(decimals, 1, 2) AS INTEGER)
            + CASE WHEN substr(decimals, 3, 1) >= '5' THEN 1 ELSE 0 END
        )
    ) AS spend_minor
FROM split
GROUP BY customer_id
ORDER BY customer_id;
