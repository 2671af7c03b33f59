-- Prices with packages, fees and caps, gauges, and the catalog version that a window was rated with.
ALTER TABLE window_usage ADD COLUMN capped_floor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE window_usage ADD COLUMN capped_rest INTEGER NOT NULL DEFAULT 0;
-- Of a gauge: the readings that count. NULL: the meter adds up.
ALTER TABLE window_usage ADD COLUMN reading_records INTEGER;
ALTER TABLE window_usage ADD COLUMN readings_floor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE window_usage ADD COLUMN readings_rest INTEGER NOT NULL DEFAULT 0;

-- What the unit amount is charged for: units, packages, or one fee. Until now that was the quantity.
ALTER TABLE window_lines ADD COLUMN priced_quantity_floor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE window_lines ADD COLUMN priced_quantity_rest INTEGER NOT NULL DEFAULT 0;
UPDATE window_lines SET priced_quantity_floor = quantity_floor, priced_quantity_rest = quantity_rest;

ALTER TABLE billing_windows ADD COLUMN catalog_hash TEXT NOT NULL DEFAULT '';
UPDATE billing_windows SET catalog_hash = COALESCE((SELECT runs.catalog_hash FROM runs WHERE runs.run_id = billing_windows.run_id), '');
