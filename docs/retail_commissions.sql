-- What every employee earned at either level and had taken back, in pence, straight from the UCI
-- Online Retail file: what a replay of the same file must end with. With the sqlite3 shell, from the
-- top of the checkout:
--
--   gzip -dc PATH/TO/orders.csv.gz > /tmp/invoices.csv
--   sqlite3 :memory: ".mode csv" ".import /tmp/invoices.csv invoices" ".mode table" \
--     ".read docs/retail_commissions.sql"
--   rm /tmp/invoices.csv
--
-- A customer whose id divides by 3 came through employee (id / 3) % 10, by a link that was touched an
-- hour before the first invoice; orders within 365 days of that earn 5 % for the employee and 1 % for
-- the leader, who is employee 0 and has none above. A refund cancels the customer's latest earlier
-- order of the same amount that is left, whole, or no order at all.
WITH RECURSIVE
split AS (
    SELECT
        rowid AS line,
        CAST(customer_id AS INTEGER) AS customer_id,
        invoice_at,
        CASE WHEN total_gbp LIKE '-%' THEN -1 ELSE 1 END AS sign,
        CAST(ltrim(total_gbp, '-') AS INTEGER) AS whole, -- the digits before the point
        substr(
            substr(total_gbp, instr(total_gbp || '.', '.') + 1) || '000', 1, 3
        ) AS decimals
    FROM invoices
    WHERE customer_id <> '' AND customer_id % 3 = 0
),
pence AS (
    SELECT
        line,
        customer_id,
        customer_id / 3 % 10 AS employee,
        unixepoch(invoice_at) AS at,
        unixepoch(min(invoice_at) OVER (PARTITION BY customer_id)) - 3600 AS touched_at,
        sign * (
            whole * 100
            + CAST(substr(decimals, 1, 2) AS INTEGER)
            + CASE WHEN substr(decimals, 3, 1) >= '5' THEN 1 ELSE 0 END
        ) AS amount_minor
    FROM split
),
-- The invoices of one customer and size, in order, of which the negative ones take the last one left.
turns AS MATERIALIZED (
    SELECT
        line,
        customer_id,
        abs(amount_minor) AS size,
        amount_minor < 0 AS refund,
        row_number() OVER (
            PARTITION BY customer_id, abs(amount_minor) ORDER BY at, line
        ) AS turn
    FROM pence
),
played (customer_id, size, turn, open_lines, cancelled_line) AS (
    SELECT customer_id, size, 1, CASE WHEN refund THEN '[]' ELSE json_array(line) END, NULL
    FROM turns
    WHERE turn = 1
    UNION ALL
    SELECT
        next.customer_id,
        next.size,
        next.turn,
        CASE
            WHEN next.refund THEN json_remove(played.open_lines, '$[#-1]')
            ELSE json_insert(played.open_lines, '$[#]', next.line)
        END,
        CASE WHEN next.refund THEN json_extract(played.open_lines, '$[#-1]') END
    FROM played
    JOIN turns AS next
        ON
            next.customer_id = played.customer_id
            AND next.size = played.size
            AND next.turn = played.turn + 1
),
orders AS (
    SELECT
        employee,
        amount_minor,
        line IN (SELECT cancelled_line FROM played WHERE cancelled_line IS NOT NULL) AS cancelled
    FROM pence
    WHERE amount_minor > 0 AND at - touched_at <= 365 * 86400
),
commissions AS (
    SELECT employee, 1 AS level, (amount_minor * 5 + 50) / 100 AS amount, cancelled FROM orders
    UNION ALL
    SELECT 0, 2, (amount_minor + 50) / 100, cancelled FROM orders WHERE employee <> 0
)
SELECT
    employee,
    level,
    sum(amount) AS accrued_minor,
    sum(amount * cancelled) AS reversed_minor
FROM commissions
GROUP BY employee, level
ORDER BY level, employee;
