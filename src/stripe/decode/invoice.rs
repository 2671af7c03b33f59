//! Invoices and their lines, in the shapes before and after 2025-03-31.basil.
//!
//! In: an `invoice`, `line_item` or list object. Out: [`Invoice`]s with the lines that stand in the answer. It never
//! fetches the rest; `invoices` does, and until then `lines_complete` says whether there is one.

use jiff::Timestamp;

use crate::domain::invoice::{Invoice, InvoiceLine, InvoiceMoney, InvoiceStatus};
use crate::domain::number::Quantity;

use super::{Fields, Node, Problem, page};

/// An invoice, and where the rest of its lines is.
#[derive(Debug)]
pub(in crate::stripe) struct FoundInvoice {
    pub invoice: Invoice,
    /// The path that the answer gives for its lines.
    pub lines_url: Option<String>,
}

pub(in crate::stripe) fn invoice(node: &Node<'_>, request_id: &str) -> Result<FoundInvoice, Problem> {
    let fields = node.fields()?;
    let status = status(&fields.get("status"))?;
    found(&fields, status, fields.get("id").text()?, request_id)
}

/// A preview may have neither id nor status; it is always a draft.
pub(in crate::stripe) fn preview(node: &Node<'_>, request_id: &str) -> Result<FoundInvoice, Problem> {
    let fields = node.fields()?;
    let stated = fields.get("status");
    let status = if stated.is_null() { InvoiceStatus::Draft } else { status(&stated)? };
    let id = fields.get("id").text_if_any()?.unwrap_or_default();
    found(&fields, status, id, request_id)
}

fn found(
    fields: &Fields<'_>,
    status: InvoiceStatus,
    id: String,
    request_id: &str,
) -> Result<FoundInvoice, Problem> {
    let list = fields.get("lines");
    let lines = page(&list)?;
    let invoice = Invoice {
        id,
        subscription_id: subscription_id(fields)?,
        customer_id: fields.get("customer").id_if_any()?,
        status,
        billing_reason: fields.get("billing_reason").text_if_any()?.unwrap_or_default(),
        created: fields.get("created").timestamp()?,
        finalizes_at: finalizes_at(fields)?,
        money: money(fields)?,
        lines: lines.data.iter().map(line).collect::<Result<_, _>>()?,
        lines_complete: !lines.has_more,
        request_id: request_id.to_owned(),
    };
    Ok(FoundInvoice { invoice, lines_url: list.fields()?.get("url").text_if_any()? })
}

pub(in crate::stripe) fn subscription_id(fields: &Fields<'_>) -> Result<Option<String>, Problem> {
    let since_basil = fields.get("parent").fields_if_any()?.get("subscription_details").fields_if_any()?;
    match since_basil.get("subscription").id_if_any()? {
        Some(id) => Ok(Some(id)),
        None => fields.get("subscription").id_if_any(),
    }
}

/// A status that we do not know could mean that Stripe still takes usage or that it does not: no guess.
fn status(node: &Node<'_>) -> Result<InvoiceStatus, Problem> {
    Ok(match node.text()?.as_str() {
        "draft" => InvoiceStatus::Draft,
        "open" => InvoiceStatus::Open,
        "paid" => InvoiceStatus::Paid,
        "uncollectible" => InvoiceStatus::Uncollectible,
        "void" => InvoiceStatus::Void,
        _ => return Err(node.not("an invoice status that we know")),
    })
}

/// A draft says when it will be final, another invoice when it became so.
fn finalizes_at(fields: &Fields<'_>) -> Result<Option<Timestamp>, Problem> {
    let will_be = fields.get("automatically_finalizes_at");
    let was = fields.get("status_transitions").fields_if_any()?.get("finalized_at");
    let told = [will_be, was].into_iter().find(|node| !node.is_null());
    told.map(|node| node.timestamp()).transpose()
}

/// What stands beside the lines. An invoice that has no tax, discount or credit may leave their lists out.
fn money(fields: &Fields<'_>) -> Result<InvoiceMoney, Problem> {
    let counted = |name: &str, counts: fn(&Fields<'_>) -> Result<bool, Problem>| {
        let list = fields.get(name);
        let entries = if list.is_null() { Vec::new() } else { list.list()? };
        let mut sum = 0i64;
        for entry in &entries {
            let of_entry = entry.fields()?;
            if counts(&of_entry)? {
                let amount = of_entry.get("amount").integer()?;
                sum = sum.checked_add(amount).ok_or_else(|| list.problem("adds up to more than 64 bits"))?;
            }
        }
        Ok(sum)
    };
    let whole = |name: &str| {
        let node = fields.get(name);
        if node.is_null() { Ok(None) } else { node.integer().map(Some) }
    };
    let since_basil = counted("total_taxes", is_on_top)?;
    let before = counted("total_tax_amounts", is_on_top)?;
    Ok(InvoiceMoney {
        currency: fields.get("currency").currency()?,
        total: fields.get("total").integer()?,
        tax: if since_basil == 0 { before } else { since_basil },
        discount: counted("total_discount_amounts", |_| Ok(true))?,
        // The same list repeats the discounts.
        credit_grants: counted("total_pretax_credit_amounts", |entry| {
            Ok(entry.get("type").text_if_any()?.as_deref() != Some("discount"))
        })?,
        credit_notes: whole("pre_payment_credit_notes_amount")?.unwrap_or_default(),
        starting_balance: whole("starting_balance")?,
        ending_balance: whole("ending_balance")?,
        amount_due: fields.get("amount_due").integer()?,
    })
}

/// Whether a tax comes on top of the lines: `tax_behavior` says so since basil, `inclusive` before.
fn is_on_top(tax: &Fields<'_>) -> Result<bool, Problem> {
    let before = tax.get("inclusive");
    if !before.is_null() {
        return Ok(!before.boolean()?);
    }
    Ok(tax.get("tax_behavior").text_if_any()?.as_deref() != Some("inclusive"))
}

pub(in crate::stripe) fn line(node: &Node<'_>) -> Result<InvoiceLine, Problem> {
    let fields = node.fields()?;
    let parent = fields.get("parent").fields_if_any()?;
    let of_item = parent.get("subscription_item_details").fields_if_any()?;
    let of_invoice_item = parent.get("invoice_item_details").fields_if_any()?;
    let price = fields.get("pricing").fields_if_any()?.get("price_details").fields_if_any()?.get("price");
    let prorations = [of_item.get("proration"), of_invoice_item.get("proration"), fields.get("proration")];
    Ok(InvoiceLine {
        id: fields.get("id").text()?,
        amount_minor: fields.get("amount").integer()?,
        currency: fields.get("currency").currency()?,
        quantity: quantity(&fields)?,
        price_id: first_id([price, fields.get("price"), fields.get("plan")])?,
        subscription_item_id: first_id([of_item.get("subscription_item"), fields.get("subscription_item")])?,
        invoice_item_id: first_id([
            of_invoice_item.get("invoice_item"),
            of_item.get("invoice_item"),
            fields.get("invoice_item"),
        ])?,
        period: fields.get("period").fields()?.window("start", "end")?,
        proration: any_true(&prorations)?,
        description: fields.get("description").text_if_any()?.unwrap_or_default(),
    })
}

/// `quantity` is cut to whole units by Stripe, `quantity_decimal` (since 2026-03-25.dahlia) is not.
fn quantity(fields: &Fields<'_>) -> Result<Option<Quantity>, Problem> {
    let node = fields.first_of(["quantity_decimal", "quantity"]);
    if node.is_null() { Ok(None) } else { node.quantity().map(Some) }
}

fn first_id<const N: usize>(nodes: [Node<'_>; N]) -> Result<Option<String>, Problem> {
    for node in nodes {
        if let Some(id) = node.id_if_any()? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Lines that no subscription made have none of these fields and are no prorations.
fn any_true(nodes: &[Node<'_>]) -> Result<bool, Problem> {
    let mut any = false;
    for node in nodes.iter().filter(|node| !node.is_null()) {
        any |= node.boolean()?;
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<FoundInvoice, Problem> {
        invoice(&Node::root(json.as_bytes()).unwrap(), "req_1")
    }

    fn read_line(json: &str) -> Result<InvoiceLine, Problem> {
        line(&Node::root(json.as_bytes()).unwrap())
    }

    /// A line with the given fields beside those that every line has.
    fn line_with(fields: &str) -> String {
        format!(
            r#"{{"id": "il_1", "object": "line_item", "amount": 112, "currency": "usd",
                 "period": {{"start": 1665874046, "end": 1668552446}}, {fields}}}"#
        )
    }

    /// A captured graduated price: 1,031 credits over 1000@0 with a flat 900, then 3.6. Shape of 2022-11-15.
    const BEFORE_BASIL: &str = r#"{
      "id": "in_1", "object": "invoice", "subscription": "sub_1", "customer": "cus_1", "status": "draft",
      "billing_reason": "subscription_cycle", "created": 1668552450, "paid": false, "charge": null, "currency": "usd",
      "subtotal": 1012, "total": 1012, "amount_due": 0,
      "lines": {"object": "list", "has_more": false, "total_count": 4, "url": "/v1/invoices/in_1/lines", "data": [
        {"id": "il_1", "object": "line_item", "amount": 0, "currency": "usd", "quantity": 1000,
         "description": "1000 credit × Usage (Tier 1 at $0.00 / month)", "type": "subscription",
         "period": {"start": 1665874046, "end": 1668552446}, "proration": false, "subscription": "sub_1",
         "subscription_item": "si_1", "unit_amount_excluding_tax": "0",
         "price": {"id": "price_1", "object": "price", "unit_amount": null, "recurring": {"usage_type": "metered"}}},
        {"id": "il_2", "amount": 900, "currency": "usd", "quantity": 0, "description": "Usage (Tier 1 at $9.00 / month)",
         "period": {"start": 1665874046, "end": 1668552446}, "proration": false,
         "subscription_item": "si_1", "price": {"id": "price_1"}},
        {"id": "il_3", "amount": 112, "currency": "usd", "quantity": 31, "description": null,
         "period": {"start": 1665874046, "end": 1668552446}, "proration": false,
         "subscription_item": "si_1", "unit_amount_excluding_tax": "4", "price": {"id": "price_1"}},
        {"id": "il_4", "amount": 0, "currency": "usd", "quantity": 0, "description": "",
         "period": {"start": 1665874046, "end": 1668552446}, "proration": false,
         "subscription_item": "si_1", "price": {"id": "price_1"}}]}}"#;

    /// The same in the shape of 2026-09-30.endive.
    const SINCE_BASIL: &str = r#"{
      "id": "in_1", "object": "invoice", "customer": {"id": "cus_1", "object": "customer"}, "status": "draft",
      "parent": {"type": "subscription_details", "quote_details": null,
                 "subscription_details": {"metadata": {}, "subscription": "sub_1"}},
      "billing_reason": "subscription_cycle", "created": 1668552450, "currency": "usd", "total": 1012, "amount_due": 0,
      "a_field_of_next_year": {"x": [1, 2.5]},
      "lines": {"object": "list", "has_more": false, "url": "/v1/invoices/in_1/lines", "data": [
        {"id": "il_1", "amount": 0, "subtotal": 0, "currency": "usd", "quantity": 1000, "quantity_decimal": "1000",
         "description": "1000 credit × Usage (Tier 1 at $0.00 / month)",
         "period": {"start": 1665874046, "end": 1668552446},
         "pricing": {"type": "price_details", "unit_amount_decimal": null,
                     "price_details": {"price": "price_1", "product": "prod_1"}},
         "parent": {"type": "subscription_item_details", "invoice_item_details": null,
                    "subscription_item_details": {"subscription": "sub_1", "subscription_item": "si_1",
                                                  "proration": false, "invoice_item": null}}},
        {"id": "il_2", "amount": 900, "currency": "usd", "quantity": 0, "description": "Usage (Tier 1 at $9.00 / month)",
         "period": {"start": 1665874046, "end": 1668552446},
         "pricing": {"type": "price_details", "price_details": {"price": "price_1"}},
         "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription_item": "si_1"}}},
        {"id": "il_3", "amount": 112, "currency": "usd", "quantity": "31", "quantity_decimal": null,
         "period": {"start": 1665874046, "end": 1668552446},
         "pricing": {"type": "price_details", "price_details": {"price": "price_1"}},
         "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription_item": "si_1"}}},
        {"id": "il_4", "amount": 0, "currency": "usd", "quantity_decimal": "0.000",
         "period": {"start": 1665874046, "end": 1668552446},
         "pricing": {"type": "price_details", "price_details": {"price": "price_1"}},
         "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription_item": "si_1"}}}]}}"#;

    #[test]
    fn an_invoice_reads_the_same_before_and_after_basil() {
        let old = read(BEFORE_BASIL).unwrap();
        let new = read(SINCE_BASIL).unwrap();
        assert_eq!(old.invoice, new.invoice);
        assert_eq!(old.lines_url, new.lines_url);
    }

    #[test]
    fn the_captured_graduated_invoice_has_a_line_for_each_tier_and_each_flat_fee() {
        let invoice = read(BEFORE_BASIL).unwrap().invoice;
        let lines: Vec<(String, i64)> = invoice
            .lines
            .iter()
            .map(|line| (line.quantity.unwrap().to_string(), line.amount_minor))
            .collect();
        let expected = [("1000", 0), ("0", 900), ("31", 112), ("0", 0)];
        assert_eq!(lines, expected.map(|(quantity, amount)| (quantity.to_owned(), amount)));
        assert_eq!(invoice.subscription_id.as_deref(), Some("sub_1"));
        assert_eq!(invoice.customer_id.as_deref(), Some("cus_1"));
        assert!(invoice.lines.iter().all(|line| line.price_id.as_deref() == Some("price_1")));
        assert!(invoice.lines.iter().all(|line| line.subscription_item_id.as_deref() == Some("si_1")));
        assert!(invoice.lines_complete && !invoice.has_left_draft());
        assert_eq!(invoice.request_id, "req_1");
    }

    #[test]
    fn quantity_decimal_wins_over_the_cut_quantity() {
        for (fields, expected) in [
            (r#""quantity": 2, "quantity_decimal": "2.5""#, Some("2.5")),
            (r#""quantity": 2, "quantity_decimal": null"#, Some("2")),
            (r#""quantity": 130.0"#, Some("130")),
            (r#""quantity": "7""#, Some("7")),
            (r#""quantity": -1"#, Some("-1")),
            (r#""quantity": null"#, None),
            (r#""description": null"#, None),
        ] {
            let line = read_line(&line_with(fields)).unwrap();
            assert_eq!(line.quantity.map(|quantity| quantity.to_string()).as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn a_proration_is_one_in_every_shape() {
        for (fields, expected) in [
            (r#""proration": true"#, true),
            (r#""parent": {"subscription_item_details": {"proration": true}}"#, true),
            (r#""parent": {"invoice_item_details": {"proration": true, "invoice_item": "ii_1"}}"#, true),
            (r#""parent": {"subscription_item_details": {"proration": null}}"#, false),
            (r#""parent": null"#, false),
        ] {
            assert_eq!(read_line(&line_with(fields)).unwrap().proration, expected, "{fields}");
        }
        assert!(read_line(&line_with(r#""proration": "yes""#)).is_err());
    }

    #[test]
    fn a_line_of_a_very_old_version_names_its_plan() {
        let line = read_line(&line_with(r#""plan": {"id": "gold", "object": "plan"}"#)).unwrap();
        assert_eq!(line.price_id.as_deref(), Some("gold"));
        assert_eq!(line.subscription_item_id, None);
    }

    #[test]
    fn what_cannot_be_understood_is_named_with_its_path() {
        for (from, to, expected) in [
            (r#""amount": 900"#, r#""amount": null"#, "lines.data[1].amount is missing"),
            (r#""amount": 900"#, r#""amount": 9.5"#, "lines.data[1].amount is not a whole number"),
            (r#""quantity": 31"#, r#""quantity": "a lot""#, "lines.data[2].quantity is not a decimal number"),
            (
                r#""currency": "usd", "quantity": 31"#,
                r#""currency": "usdc""#,
                "lines.data[2].currency is not a currency",
            ),
            (r#""status": "draft""#, r#""status": "melted""#, "status is not an invoice status"),
            (r#""status": "draft""#, r#""status": null"#, "status is missing"),
            (r#""has_more": false"#, r#""has_more": 0"#, "lines.has_more is not true or false"),
            (r#""created": 1668552450"#, r#""created": 99999999999999"#, "created is not an instant"),
        ] {
            assert!(BEFORE_BASIL.contains(from), "{from}");
            let problem = read(&BEFORE_BASIL.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert_eq!(read("{}").unwrap_err().to_string(), "status is missing");
        assert_eq!(read("[]").unwrap_err().to_string(), "the answer is not an object: `[]`");
    }

    #[test]
    fn an_invoice_says_when_it_is_final() {
        let with = |fields: &str| {
            let json = BEFORE_BASIL.replacen(r#""id": "in_1","#, &format!(r#""id": "in_1", {fields},"#), 1);
            read(&json).map(|found| found.invoice.finalizes_at.map(Timestamp::as_second))
        };
        let never = r#""status_transitions": {"finalized_at": null, "paid_at": null}"#;
        let soon = format!(r#""automatically_finalizes_at": 1668556050, {never}"#);
        assert_eq!(with(&soon), Ok(Some(1_668_556_050)));
        let was = r#""automatically_finalizes_at": null, "status_transitions": {"finalized_at": 1668556743}"#;
        assert_eq!(with(was), Ok(Some(1_668_556_743)));
        assert_eq!(with(never), Ok(None));
        assert_eq!(read(BEFORE_BASIL).unwrap().invoice.finalizes_at, None);
    }

    /// The captured invoice with more fields at its top.
    fn money_with(fields: &str) -> Result<InvoiceMoney, String> {
        let json = BEFORE_BASIL.replacen(r#""id": "in_1","#, &format!(r#""id": "in_1", {fields},"#), 1);
        read(&json).map(|found| found.invoice.money).map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_money_of_an_invoice_is_read_in_the_shapes_before_and_after_basil() {
        let plain = money_with(r#""footer": null"#).unwrap();
        assert_eq!((plain.total, plain.amount_due, plain.tax, plain.discount), (1_012, 0, 0, 0));
        assert_eq!((plain.starting_balance, plain.ending_balance), (None, None));
        let before = money_with(
            r#""total_tax_amounts": [{"amount": 180, "inclusive": false}, {"amount": 7, "inclusive": true}]"#,
        );
        let since = money_with(
            r#""total_taxes": [{"amount": 180, "tax_behavior": "exclusive"}, {"amount": 7, "tax_behavior": "inclusive"}]"#,
        );
        assert_eq!((before.unwrap().tax, since.unwrap().tax), (180, 180));
        let laden = money_with(
            r#""total_discount_amounts": [{"amount": 100, "discount": "di_1"}, {"amount": 20, "discount": "di_2"}],
               "total_pretax_credit_amounts": [{"amount": 100, "type": "discount", "discount": "di_1"},
                 {"amount": 17, "type": "credit_balance_transaction", "credit_balance_transaction": "cbtxn_1"}],
               "pre_payment_credit_notes_amount": 3, "starting_balance": -500, "ending_balance": 0"#,
        );
        let laden = laden.unwrap();
        assert_eq!((laden.discount, laden.credit_grants, laden.credit_notes), (120, 17, 3));
        assert_eq!((laden.starting_balance, laden.ending_balance), (Some(-500), Some(0)));
    }

    #[test]
    fn money_that_cannot_be_read_is_named_and_never_0() {
        for (fields, expected) in [
            (r#""total_taxes": [{"amount": "x"}]"#, "total_taxes[0].amount is not a decimal number"),
            (r#""total_taxes": 7"#, "total_taxes is not a list"),
            (r#""starting_balance": 0.5"#, "starting_balance is not a whole number"),
            (
                r#""total_discount_amounts": [{"amount": 9223372036854775807}, {"amount": 1}]"#,
                "total_discount_amounts adds up to more than 64 bits",
            ),
        ] {
            let problem = money_with(fields).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
        }
        let without = BEFORE_BASIL.replacen(r#", "amount_due": 0,"#, ",", 1);
        assert_eq!(read(&without).unwrap_err().to_string(), "amount_due is missing");
    }

    #[test]
    fn a_line_names_the_invoice_item_that_it_came_from() {
        for (fields, expected) in [
            (r#""parent": {"invoice_item_details": {"invoice_item": "ii_1"}}"#, Some("ii_1")),
            (r#""parent": {"subscription_item_details": {"invoice_item": "ii_2"}}"#, Some("ii_2")),
            (r#""invoice_item": "ii_3""#, Some("ii_3")),
            (r#""parent": null"#, None),
        ] {
            let line = read_line(&line_with(fields)).unwrap();
            assert_eq!(line.invoice_item_id.as_deref(), expected, "{fields}");
        }
    }

    #[test]
    fn a_preview_needs_neither_id_nor_status() {
        let json = SINCE_BASIL.replacen(r#""id": "in_1","#, "", 1).replacen(
            r#""status": "draft""#,
            r#""status": null"#,
            1,
        );
        let preview = preview(&Node::root(json.as_bytes()).unwrap(), "req_1").unwrap().invoice;
        assert_eq!((preview.id.as_str(), preview.status), ("", InvoiceStatus::Draft));
    }
}
