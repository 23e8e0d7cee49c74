from services.tradectl.app import main

main()
