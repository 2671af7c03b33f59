//! Who sends: the job only looks on where the application sends, and sends nothing for a tenant whose meter another has
//! used.

use super::world::{DRAFT, FINAL, OPEN, SHADOW, World, compared, decided, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

#[test]
fn observing_compares_and_sends_nothing_but_previews() {
    for engine in ENGINES {
        let ids = tenants(["a", "b"]);
        let mut world = World::remote(engine, SHADOW, &ids, &usage([("a", "60"), ("b", "130")]), OPEN);
        world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
        let proxy = world.through_proxy();
        world.sandbox().move_to(OPEN);
        // The application sends what a used, and forgets ten of b's.
        world.sandbox().send_event("cus_a", "60", "app-1");
        world.sandbox().send_event("cus_b", "120", "app-2");
        let open = outcome(&world.run(OPEN).expect(0), "2026-10");
        assert_eq!(compared(&open, "a"), ["meter_total matched 60 60", "preview matched 60 60"]);
        assert_eq!(
            compared(&open, "b"),
            ["meter_total quantity_mismatch 130 120", "preview quantity_mismatch 130 120"]
        );
        world.run(DRAFT).expect(0);
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        assert_eq!((&closed["status"], &closed["verdict"]), (&"closed".into(), &"NO_GO".into()), "{closed}");
        // One of two records belongs to a tenant whose total differs.
        assert_eq!(decided(&closed, "push_error_rate"), ("0.5".to_owned(), "false".to_owned()));
        let asked = proxy.take();
        assert!(asked.iter().any(super::server::Asked::is_preview));
        let writes = asked.iter().filter(|one| one.method == "POST" && !one.is_preview());
        assert_eq!(writes.count(), 0);
        assert_eq!(world.identifiers(), ["app-1", "app-2"]);
        assert_eq!(world.intents(), []);
    }
}

#[test]
fn a_tenant_whose_application_sends_too_is_parked_and_the_others_are_pushed() {
    let records = usage([("a", "60"), ("b", "130")]);
    let world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a", "b"]), &records, OPEN);
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_b", "4", "app-1");
    let open = outcome(&world.run(OPEN).expect(3), "2026-10");
    let parked = table(&open, "exceptions");
    let parked: Vec<_> = parked.iter().map(|row| (&*row["tenant_id"], &*row["reason"])).collect();
    assert_eq!(parked, [("b", "foreign_usage")]);
    assert_eq!((world.at_stripe("a"), world.at_stripe("b")), ("60".to_owned(), "4".to_owned()));
    assert_eq!(world.intents(), [("confirmed".to_owned(), 1)]);
}
