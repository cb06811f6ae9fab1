import { postgresPlace } from "./cut/place.ts";
import { cutSuite } from "./cut/suite.ts";

cutSuite("PostgreSQL", postgresPlace);
